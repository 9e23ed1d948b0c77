// Rows of texts as a file that spreadsheets open.
const saveCsv = (lines, name) => {
  // Names come from others' files: text that a spreadsheet would take for a formula is marked as text, numbers are not.
  const plain = (text) => (/^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.,]+( ?[%×a-zA-Z]*)?$/.test(text) ? `'${text}` : text);
  const quoted = (value) => `"${plain(String(value)).replaceAll('"', '""')}"`;
  const link = document.createElement("a");
  const text = lines.map((line) => line.map(quoted).join(",")).join("\n");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};
const csvButton = (act) => {
  const made = part("button", "wb-small", "CSV");
  made.type = "button";
  made.title = "save the table as CSV";
  made.addEventListener("click", act);
  return made;
};

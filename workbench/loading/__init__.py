"""Getting subjects: by an embedded name, a library's name, a Python file, or an exported folder."""

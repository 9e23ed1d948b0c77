"""The report's sections: each takes the record and gives blocks."""

"""The only modules with this stage's SQL: one for each thing it keeps."""

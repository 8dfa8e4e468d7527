package store

// Path is the file of the SQLite database that dsn names.
func Path(dsn string) (string, error) { return sqlitePath(dsn) }

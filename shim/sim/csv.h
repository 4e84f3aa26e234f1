/*
 * csv.h
 *	  Records of a CSV text in memory (RFC 4180).
 */
#ifndef SIM_CSV_H
#define SIM_CSV_H

#include "util.h"

typedef struct CsvRecord
{
	char	  **fields;			/* NUL-terminated, unquoted */
	int			count;
	int			size;
	Buffer		text;			/* where the fields live */
} CsvRecord;

/*
 * Reads the record that begins at data, which must not be empty.  Returns how
 * many bytes it takes with its line end.  *ok is false when a quote is not
 * closed before the end of the text or is followed by more than a separator;
 * the record then takes one line and its fields are not to be used.
 */
extern size_t csv_read(CsvRecord *record, const char *data, size_t len, char separator, bool *ok);
extern void csv_free(CsvRecord *record);

/* The likeliest separator of a header line: comma, semicolon or tab. */
extern char csv_guess_separator(const char *data, size_t len);

#endif							/* SIM_CSV_H */

/*
 * columns.h
 *	  What the columns of recorded tracks mean, told or guessed from their names,
 *	  and a row of values as a message.
 */
#ifndef SIM_COLUMNS_H
#define SIM_COLUMNS_H

#include "message.h"

#define COLUMNS_MAX 256

typedef enum ColumnRole
{
	COLUMN_SIGNAL,
	COLUMN_SKIPPED,
	COLUMN_VEHICLE,
	COLUMN_TIME,
	COLUMN_DATE,				/* the day, when COLUMN_TIME has the time of day only */
	COLUMN_LATITUDE,
	COLUMN_LONGITUDE,
	COLUMN_ALTITUDE,
	COLUMN_ACCURACY,
	COLUMN_SPEED,
	COLUMN_HEADING
} ColumnRole;

typedef struct Column
{
	char	   *name;			/* in the file */
	char	   *field;			/* in the document */
	ColumnRole	role;
	bool		told;			/* by an option; a guess never overrides it */
	double		scale;			/* applied to numbers */
	bool		as_text;		/* a number stays as it is written */
	const char *null_value;		/* stands for "missing", or NULL */
} Column;

typedef struct Columns
{
	Column		list[COLUMNS_MAX];
	int			count;
	const char *time_format;	/* NULL: guess */
	const char *vehicle;		/* of all rows, when no column tells */
	double		speed_scale;	/* to km/h; 0: guess */
} Columns;

typedef enum RowResult
{
	ROW_GOOD,
	ROW_BAD_FIELD				/* a field that is not what its role asks for, sent as it is */
} RowResult;

extern void columns_init(Columns *c);
/* The column of that name, added when it is new. */
extern Column *columns_get(Columns *c, const char *name);
/* Roles for all that was not told; needs every column to be known. */
extern void columns_guess(Columns *c);
extern void columns_print(const Columns *c);
/*
 * values[i] belongs to list[i]; NULL: none.  Texts of the message point into
 * values or into `scratch`.
 */
extern RowResult columns_message(const Columns *c, char *const *values, Buffer *scratch, Message *m);

#endif							/* SIM_COLUMNS_H */

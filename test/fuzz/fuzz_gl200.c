/*
 * fuzz_gl200.c
 *	  The gl200 adapter.
 */
#define FUZZ_ADAPTER adapter_gl200
#include "fuzz_adapter.h"

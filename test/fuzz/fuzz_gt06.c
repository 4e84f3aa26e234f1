/*
 * fuzz_gt06.c
 *	  The gt06 adapter.
 */
#define FUZZ_ADAPTER adapter_gt06
#include "fuzz_adapter.h"

/*
 * fuzz_gps103.c
 *	  Arbitrary bytes to the gps103 adapter.
 */
#define FUZZ_ADAPTER adapter_gps103
#include "fuzz_adapter.h"

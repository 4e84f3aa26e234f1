/*
 * fuzz_h02.c
 *	  Arbitrary bytes to the h02 adapter.
 */
#define FUZZ_ADAPTER adapter_h02
#include "fuzz_adapter.h"

/*
 * fuzz_ruptela.c
 *	  The ruptela adapter.
 */
#define FUZZ_ADAPTER adapter_ruptela
#include "fuzz_adapter.h"

/*
 * vin.h
 *	  Vehicle identification numbers, ISO 3779 and ISO 3780.
 */
#ifndef FLEET_VIN_H
#define FLEET_VIN_H

#define VIN_LENGTH 17

/* 17 characters of the VIN alphabet (no I, O, Q), either case, check digit right. */
extern bool vin_looks_valid(const char *s, int len);

#endif							/* FLEET_VIN_H */

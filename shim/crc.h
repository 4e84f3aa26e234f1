/*
 * crc.h
 *	  Checksums of tracker protocols.
 *
 *	name			polynomial	begins	final xor	sum of "123456789"
 *	crc16_arc		8005		0000	0000		BB3D	also called CRC-16/IBM
 *	crc16_modbus	8005		FFFF	0000		4B37
 *	crc16_x25		1021		FFFF	FFFF		906E	also called CRC-ITU
 *	crc16_kermit	1021		0000	0000		2189
 *
 * All of them take the lowest bit of a byte first.
 */
#ifndef SHIM_CRC_H
#define SHIM_CRC_H

#include <stddef.h>
#include <stdint.h>

extern uint16_t crc16_arc(const void *data, size_t len);
extern uint16_t crc16_modbus(const void *data, size_t len);
extern uint16_t crc16_x25(const void *data, size_t len);
extern uint16_t crc16_kermit(const void *data, size_t len);

#endif							/* SHIM_CRC_H */

/*
 * login.h
 *	  fleet.login(): a token makes a session somebody.
 */
#ifndef FLEET_LOGIN_H
#define FLEET_LOGIN_H

extern void login_init(void);

#endif							/* FLEET_LOGIN_H */

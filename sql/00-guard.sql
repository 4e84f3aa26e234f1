-- 00-guard.sql: first piece of the install script.
\echo Use "CREATE EXTENSION fleet CASCADE" to load this file. \quit

-- 13-vin.sql: type vin.

CREATE TYPE fleet.vin;

CREATE FUNCTION fleet.vin_in(cstring) RETURNS fleet.vin
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_in(cstring) IS 'I/O';
CREATE FUNCTION fleet.vin_out(fleet.vin) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_out(fleet.vin) IS 'I/O';
CREATE FUNCTION fleet.vin_recv(internal) RETURNS fleet.vin
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_recv(internal) IS 'I/O';
CREATE FUNCTION fleet.vin_send(fleet.vin) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_send(fleet.vin) IS 'I/O';

CREATE TYPE fleet.vin (
    INPUT = fleet.vin_in,
    OUTPUT = fleet.vin_out,
    RECEIVE = fleet.vin_recv,
    SEND = fleet.vin_send,
    INTERNALLENGTH = 17,
    ALIGNMENT = char,
    STORAGE = plain,
    CATEGORY = 'U'
);
COMMENT ON TYPE fleet.vin IS 'Vehicle identification number, ISO 3779, with a right check digit';

-- checks of a text

CREATE FUNCTION fleet.vin_is_valid(text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_is_valid(text) IS 'Would type vin accept the text?';
CREATE FUNCTION fleet.vin_check(text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_check(text) IS 'Does the text look like a real VIN, which should not be stored? Reports with such a text are quarantined as looks_like_vin';
CREATE FUNCTION fleet.holds_vin(text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'holds_vin_text';
COMMENT ON FUNCTION fleet.holds_vin(text) IS 'Does the text hold what looks like a real VIN, with neither letter nor digit beside it?';
CREATE FUNCTION fleet.holds_vin(bytea) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'holds_vin_bytea';
COMMENT ON FUNCTION fleet.holds_vin(bytea) IS 'Do the bytes hold what looks like a real VIN, whatever is beside it?';

-- parts

CREATE FUNCTION fleet.vin_wmi(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_wmi(fleet.vin) IS 'World manufacturer identifier: characters 1 to 3';
CREATE FUNCTION fleet.vin_manufacturer(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_manufacturer(fleet.vin) IS 'Characters 1 to 3, with 12 to 14 when a small maker shares the former';
CREATE FUNCTION fleet.vin_region(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_region(fleet.vin) IS 'Region of the maker, from character 1';
CREATE FUNCTION fleet.vin_vds(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_vds(fleet.vin) IS 'Vehicle descriptor section: characters 4 to 9';
CREATE FUNCTION fleet.vin_vis(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_vis(fleet.vin) IS 'Vehicle indicator section: characters 10 to 17';
CREATE FUNCTION fleet.vin_model_year(fleet.vin) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_model_year(fleet.vin) IS 'Model year, 1980 to 2039, by characters 10 and 7; null when character 10 names none';
CREATE FUNCTION fleet.vin_plant(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_plant(fleet.vin) IS 'Code of the plant: character 11';
CREATE FUNCTION fleet.vin_serial(fleet.vin) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_serial(fleet.vin) IS 'Serial number: characters 12 to 17';
CREATE FUNCTION fleet.vin_pseudonym(vin fleet.vin, key bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_pseudonym(fleet.vin, bytea) IS 'HMAC-SHA-256 of the VIN under a secret key of 16 bytes or more, cut to 32 hexadecimal digits';

-- comparison, by character, digits first

CREATE FUNCTION fleet.vin_eq(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_eq(fleet.vin, fleet.vin) IS 'Implementation of the operator =';
CREATE FUNCTION fleet.vin_ne(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_ne(fleet.vin, fleet.vin) IS 'Implementation of the operator <>';
CREATE FUNCTION fleet.vin_lt(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_lt(fleet.vin, fleet.vin) IS 'Implementation of the operator <';
CREATE FUNCTION fleet.vin_le(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_le(fleet.vin, fleet.vin) IS 'Implementation of the operator <=';
CREATE FUNCTION fleet.vin_gt(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_gt(fleet.vin, fleet.vin) IS 'Implementation of the operator >';
CREATE FUNCTION fleet.vin_ge(fleet.vin, fleet.vin) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_ge(fleet.vin, fleet.vin) IS 'Implementation of the operator >=';
CREATE FUNCTION fleet.vin_cmp(fleet.vin, fleet.vin) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_cmp(fleet.vin, fleet.vin) IS 'btree support: less, equal, greater';
CREATE FUNCTION fleet.vin_hash(fleet.vin) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_hash(fleet.vin) IS 'hash support';
CREATE FUNCTION fleet.vin_hash_extended(fleet.vin, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.vin_hash_extended(fleet.vin, bigint) IS 'hash support with a seed';

CREATE OPERATOR fleet.= (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_eq,
    COMMUTATOR = OPERATOR(fleet.=), NEGATOR = OPERATOR(fleet.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR fleet.= (fleet.vin, fleet.vin) IS 'Equal';

CREATE OPERATOR fleet.<> (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_ne,
    COMMUTATOR = OPERATOR(fleet.<>), NEGATOR = OPERATOR(fleet.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);
COMMENT ON OPERATOR fleet.<> (fleet.vin, fleet.vin) IS 'Not equal';

CREATE OPERATOR fleet.< (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_lt,
    COMMUTATOR = OPERATOR(fleet.>), NEGATOR = OPERATOR(fleet.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);
COMMENT ON OPERATOR fleet.< (fleet.vin, fleet.vin) IS 'Less, by character, digits first';

CREATE OPERATOR fleet.<= (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_le,
    COMMUTATOR = OPERATOR(fleet.>=), NEGATOR = OPERATOR(fleet.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);
COMMENT ON OPERATOR fleet.<= (fleet.vin, fleet.vin) IS 'Less or equal, by character, digits first';

CREATE OPERATOR fleet.> (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_gt,
    COMMUTATOR = OPERATOR(fleet.<), NEGATOR = OPERATOR(fleet.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);
COMMENT ON OPERATOR fleet.> (fleet.vin, fleet.vin) IS 'Greater, by character, digits first';

CREATE OPERATOR fleet.>= (
    LEFTARG = fleet.vin, RIGHTARG = fleet.vin, FUNCTION = fleet.vin_ge,
    COMMUTATOR = OPERATOR(fleet.<=), NEGATOR = OPERATOR(fleet.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);
COMMENT ON OPERATOR fleet.>= (fleet.vin, fleet.vin) IS 'Greater or equal, by character, digits first';

CREATE OPERATOR CLASS fleet.vin_ops DEFAULT FOR TYPE fleet.vin USING btree AS
    OPERATOR 1 fleet.<, OPERATOR 2 fleet.<=, OPERATOR 3 fleet.=, OPERATOR 4 fleet.>=, OPERATOR 5 fleet.>,
    FUNCTION 1 fleet.vin_cmp(fleet.vin, fleet.vin),
    FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY fleet.vin_ops USING btree IS 'Order of vin';
COMMENT ON OPERATOR CLASS fleet.vin_ops USING btree IS 'Order of vin';
CREATE OPERATOR CLASS fleet.vin_ops DEFAULT FOR TYPE fleet.vin USING hash AS
    OPERATOR 1 fleet.=,
    FUNCTION 1 fleet.vin_hash(fleet.vin),
    FUNCTION 2 fleet.vin_hash_extended(fleet.vin, bigint);
COMMENT ON OPERATOR FAMILY fleet.vin_ops USING hash IS 'Equality of vin';
COMMENT ON OPERATOR CLASS fleet.vin_ops USING hash IS 'Equality of vin';

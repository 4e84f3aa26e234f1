-- 14-signals.sql: type signals and the dictionary of well-known signals.

CREATE TYPE fleet.signals;

CREATE FUNCTION fleet.signals_in(cstring) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_in(cstring) IS 'I/O';
CREATE FUNCTION fleet.signals_out(fleet.signals) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_out(fleet.signals) IS 'I/O';
CREATE FUNCTION fleet.signals_recv(internal) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_recv(internal) IS 'I/O';
CREATE FUNCTION fleet.signals_send(fleet.signals) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_send(fleet.signals) IS 'I/O';

CREATE TYPE fleet.signals (
    INPUT = fleet.signals_in,
    OUTPUT = fleet.signals_out,
    RECEIVE = fleet.signals_recv,
    SEND = fleet.signals_send,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended,
    CATEGORY = 'U'
);
COMMENT ON TYPE fleet.signals IS 'Compact map from signal name to number, boolean or text; its text form is a JSON object';

-- casts to and from jsonb

CREATE FUNCTION fleet.signals_to_jsonb(fleet.signals) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_to_jsonb(fleet.signals) IS 'The map as a JSON object; numbers exact';
CREATE FUNCTION fleet.signals_from_jsonb(jsonb) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_from_jsonb(jsonb) IS 'Map of an object whose members are numbers, booleans and strings';

CREATE CAST (fleet.signals AS jsonb) WITH FUNCTION fleet.signals_to_jsonb(fleet.signals) AS ASSIGNMENT;
COMMENT ON CAST (fleet.signals AS jsonb) IS 'JSON object';
CREATE CAST (jsonb AS fleet.signals) WITH FUNCTION fleet.signals_from_jsonb(jsonb) AS ASSIGNMENT;
COMMENT ON CAST (jsonb AS fleet.signals) IS 'Only a flat object of numbers, booleans and strings';

-- reading

CREATE FUNCTION fleet.signals_value(signals fleet.signals, name text) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_value(fleet.signals, text) IS 'Value of a signal as jsonb; null when there is none';
CREATE FUNCTION fleet.signals_value_text(signals fleet.signals, name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_value_text(fleet.signals, text) IS 'Value of a signal as text; null when there is none';
CREATE FUNCTION fleet.signals_number(signals fleet.signals, name text) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_number(fleet.signals, text) IS 'Value of a signal that is a number, else null';
CREATE FUNCTION fleet.signals_boolean(signals fleet.signals, name text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_boolean(fleet.signals, text) IS 'Value of a signal that is a boolean, else null';
CREATE FUNCTION fleet.signals_text(signals fleet.signals, name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_text(fleet.signals, text) IS 'Value of a signal that is a text, else null';
CREATE FUNCTION fleet.signals_exists(signals fleet.signals, name text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_exists(fleet.signals, text) IS 'Does the map have the signal?';
CREATE FUNCTION fleet.signals_count(fleet.signals) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_count(fleet.signals) IS 'Number of signals in the map';
CREATE FUNCTION fleet.signals_keys(fleet.signals) RETURNS SETOF text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 15 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_keys(fleet.signals) IS 'Names of the signals in the map: well-known ones in the order of the dictionary, then the others by name';

CREATE FUNCTION fleet.signals_each(signals fleet.signals, OUT name text, OUT value jsonb, OUT unit text)
    RETURNS SETOF record
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 15 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_each(fleet.signals) IS 'A row per signal of the map, with the unit of a well-known one';

-- changing

CREATE FUNCTION fleet.signals_concat(fleet.signals, fleet.signals) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_concat(fleet.signals, fleet.signals) IS 'Union of two maps, the right one wins';
CREATE FUNCTION fleet.signals_delete(signals fleet.signals, name text) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_delete(fleet.signals, text) IS 'The map without a signal';
CREATE FUNCTION fleet.signals_delete(signals fleet.signals, names text[]) RETURNS fleet.signals
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'signals_delete_array';
COMMENT ON FUNCTION fleet.signals_delete(fleet.signals, text[]) IS 'The map without some signals';
CREATE FUNCTION fleet.signals_contains(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_contains(fleet.signals, fleet.signals) IS 'Does the left map have every signal of the right one, with the same value?';
CREATE FUNCTION fleet.signals_contained(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_contained(fleet.signals, fleet.signals) IS 'Does the right map have every signal of the left one, with the same value?';

CREATE OPERATOR fleet.-> (LEFTARG = fleet.signals, RIGHTARG = text, FUNCTION = fleet.signals_value);
COMMENT ON OPERATOR fleet.-> (fleet.signals, text) IS 'Value of a signal as jsonb';
CREATE OPERATOR fleet.->> (LEFTARG = fleet.signals, RIGHTARG = text, FUNCTION = fleet.signals_value_text);
COMMENT ON OPERATOR fleet.->> (fleet.signals, text) IS 'Value of a signal as text';
CREATE OPERATOR fleet.? (
    LEFTARG = fleet.signals, RIGHTARG = text, FUNCTION = fleet.signals_exists,
    RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.? (fleet.signals, text) IS 'Does the map have the signal?';
CREATE OPERATOR fleet.|| (LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_concat);
COMMENT ON OPERATOR fleet.|| (fleet.signals, fleet.signals) IS 'Union, the right side wins';
CREATE OPERATOR fleet.- (LEFTARG = fleet.signals, RIGHTARG = text, FUNCTION = fleet.signals_delete);
COMMENT ON OPERATOR fleet.- (fleet.signals, text) IS 'Without a signal';
CREATE OPERATOR fleet.- (LEFTARG = fleet.signals, RIGHTARG = text[], FUNCTION = fleet.signals_delete);
COMMENT ON OPERATOR fleet.- (fleet.signals, text[]) IS 'Without some signals';
CREATE OPERATOR fleet.@> (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_contains,
    COMMUTATOR = OPERATOR(fleet.<@), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.@> (fleet.signals, fleet.signals) IS 'Contains every signal of the right side, with the same value';
CREATE OPERATOR fleet.<@ (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_contained,
    COMMUTATOR = OPERATOR(fleet.@>), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.<@ (fleet.signals, fleet.signals) IS 'Is contained in the right side';

-- the dictionary

CREATE FUNCTION fleet.signal_dictionary(
        OUT id integer, OUT name text, OUT unit text, OUT kind text, OUT min double precision,
        OUT max double precision, OUT vss_path text, OUT description text)
    RETURNS SETOF record
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 160 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signal_dictionary() IS 'The well-known signals: unit, kind, plausible range, COVESA VSS path';

CREATE VIEW fleet.signal WITH (security_invoker = true) AS SELECT id, name, unit, kind, min, max, vss_path, description FROM fleet.signal_dictionary();
COMMENT ON VIEW fleet.signal IS 'The well-known signals';
COMMENT ON COLUMN fleet.signal.id IS 'Number by which the signal is stored';
COMMENT ON COLUMN fleet.signal.name IS 'Name, with its unit';
COMMENT ON COLUMN fleet.signal.unit IS 'Unit, null where there is none';
COMMENT ON COLUMN fleet.signal.kind IS 'number, boolean or text';
COMMENT ON COLUMN fleet.signal.min IS 'Smallest plausible number';
COMMENT ON COLUMN fleet.signal.max IS 'Largest plausible number';
COMMENT ON COLUMN fleet.signal.vss_path IS 'Path in the COVESA Vehicle Signal Specification, where one exists';
COMMENT ON COLUMN fleet.signal.description IS 'What the signal says';

-- comparison, an order of no meaning

CREATE FUNCTION fleet.signals_eq(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_eq(fleet.signals, fleet.signals) IS 'Implementation of the operator =';
CREATE FUNCTION fleet.signals_ne(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_ne(fleet.signals, fleet.signals) IS 'Implementation of the operator <>';
CREATE FUNCTION fleet.signals_lt(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_lt(fleet.signals, fleet.signals) IS 'Implementation of the operator <';
CREATE FUNCTION fleet.signals_le(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_le(fleet.signals, fleet.signals) IS 'Implementation of the operator <=';
CREATE FUNCTION fleet.signals_gt(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_gt(fleet.signals, fleet.signals) IS 'Implementation of the operator >';
CREATE FUNCTION fleet.signals_ge(fleet.signals, fleet.signals) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_ge(fleet.signals, fleet.signals) IS 'Implementation of the operator >=';
CREATE FUNCTION fleet.signals_cmp(fleet.signals, fleet.signals) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_cmp(fleet.signals, fleet.signals) IS 'btree support: less, equal, greater';
CREATE FUNCTION fleet.signals_hash(fleet.signals) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_hash(fleet.signals) IS 'hash support';
CREATE FUNCTION fleet.signals_hash_extended(fleet.signals, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.signals_hash_extended(fleet.signals, bigint) IS 'hash support with a seed';

CREATE OPERATOR fleet.= (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_eq,
    COMMUTATOR = OPERATOR(fleet.=), NEGATOR = OPERATOR(fleet.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR fleet.= (fleet.signals, fleet.signals) IS 'Equal';

CREATE OPERATOR fleet.<> (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_ne,
    COMMUTATOR = OPERATOR(fleet.<>), NEGATOR = OPERATOR(fleet.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);
COMMENT ON OPERATOR fleet.<> (fleet.signals, fleet.signals) IS 'Not equal';

CREATE OPERATOR fleet.< (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_lt,
    COMMUTATOR = OPERATOR(fleet.>), NEGATOR = OPERATOR(fleet.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);
COMMENT ON OPERATOR fleet.< (fleet.signals, fleet.signals) IS 'Less, an order of no meaning';

CREATE OPERATOR fleet.<= (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_le,
    COMMUTATOR = OPERATOR(fleet.>=), NEGATOR = OPERATOR(fleet.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);
COMMENT ON OPERATOR fleet.<= (fleet.signals, fleet.signals) IS 'Less or equal, an order of no meaning';

CREATE OPERATOR fleet.> (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_gt,
    COMMUTATOR = OPERATOR(fleet.<), NEGATOR = OPERATOR(fleet.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);
COMMENT ON OPERATOR fleet.> (fleet.signals, fleet.signals) IS 'Greater, an order of no meaning';

CREATE OPERATOR fleet.>= (
    LEFTARG = fleet.signals, RIGHTARG = fleet.signals, FUNCTION = fleet.signals_ge,
    COMMUTATOR = OPERATOR(fleet.<=), NEGATOR = OPERATOR(fleet.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);
COMMENT ON OPERATOR fleet.>= (fleet.signals, fleet.signals) IS 'Greater or equal, an order of no meaning';

CREATE OPERATOR CLASS fleet.signals_ops DEFAULT FOR TYPE fleet.signals USING btree AS
    OPERATOR 1 fleet.<, OPERATOR 2 fleet.<=, OPERATOR 3 fleet.=, OPERATOR 4 fleet.>=, OPERATOR 5 fleet.>,
    FUNCTION 1 fleet.signals_cmp(fleet.signals, fleet.signals);
COMMENT ON OPERATOR FAMILY fleet.signals_ops USING btree IS 'Order of signals';
COMMENT ON OPERATOR CLASS fleet.signals_ops USING btree IS 'Order of signals';
CREATE OPERATOR CLASS fleet.signals_ops DEFAULT FOR TYPE fleet.signals USING hash AS
    OPERATOR 1 fleet.=,
    FUNCTION 1 fleet.signals_hash(fleet.signals),
    FUNCTION 2 fleet.signals_hash_extended(fleet.signals, bigint);
COMMENT ON OPERATOR FAMILY fleet.signals_ops USING hash IS 'Equality of signals';
COMMENT ON OPERATOR CLASS fleet.signals_ops USING hash IS 'Equality of signals';

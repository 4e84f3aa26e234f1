-- Type vin, see docs/types.md.
SET search_path = fleet, public;
-- What becomes of a literal, or of bytes that pretend to be the binary form:
-- the value, or code, message and detail of the error.
CREATE FUNCTION pg_temp.try_in(type regtype, input text, OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    code text;
BEGIN
    EXECUTE format('SELECT %L::%s::text', input, type) INTO result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, result = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    result := code || ' ' || left(result, 70);
END $$;
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/vin.bin'
SELECT set_config('test.file', :'file', false) AS file \gset
CREATE FUNCTION pg_temp.try_recv(type regtype, input bytea, OUT result text, OUT detail text) LANGUAGE plpgsql AS $$
DECLARE
    code text;
BEGIN
    EXECUTE format('COPY (SELECT %L::bytea) TO %L (FORMAT binary)', input, current_setting('test.file'));
    EXECUTE format('CREATE TEMP TABLE received (value %s)', type);
    EXECUTE format('COPY received FROM %L (FORMAT binary)', current_setting('test.file'));
    SELECT r.value::text INTO result FROM received r;
    DROP TABLE received;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, result = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    result := code || ' ' || result;
END $$;

-- 1. Text form: 17 characters, check digit right (these are made up or published examples)
SELECT v::vin FROM (VALUES ('1M8GDM9AXKP042788'), ('1m8gdm9axkp042788'), ('11111111111111111'), ('5GZCZ43D13S812715')) AS x(v);

-- 2. Refused, with code and position
SELECT v AS input, r.* FROM (VALUES
    (''), ('1M8GDM9AXKP04278'), ('1M8GDM9AXKP0427888'), (' 1M8GDM9AXKP042788'), ('1M8GDM9AXKP04278I'), ('OM8GDM9AXKP042788'), ('1Q8GDM9AXKP042788'),
    ('1M8GDM9AXKP0427 8'), ('1M8GDM9A1KP042788'), ('1M8GDM9AXKP042789'), ('1M8GDM9AZKP042788'), ('WVWZZZ1JZXW000001'), ('1M8GDM9AXKP04278ü'), ('1M8GDM9AXKP0427ü')
) AS x(v), pg_temp.try_in('vin', v) r;
SELECT '1M8GDM9A1KP042788'::vin;  -- and a hint
SELECT r.detail FROM pg_temp.try_in('vin', repeat('1', 70000)) r;

-- 3. Binary form: the characters
SELECT vin_send('1M8GDM9AXKP042788');
SELECT v AS input, r.* FROM (VALUES
    (vin_send('1M8GDM9AXKP042788')), ('\x'::bytea), ('1M8GDM9AXKP04278'::bytea), ('1M8GDM9AXKP0427888'::bytea), ('1M8GDM9A1KP042788'::bytea),
    ('1M8GDM9AXKP04278\000'::bytea), ('\x314d384744ff394158000000000000000000'::bytea)
) AS x(v), pg_temp.try_recv('vin', v) r;
CREATE TEMP TABLE numbers (v vin);
INSERT INTO numbers VALUES ('1M8GDM9AXKP042788'), ('11111111111111111'), (NULL);
COPY numbers TO :'file' (FORMAT binary);
CREATE TEMP TABLE copied (LIKE numbers);
COPY copied FROM :'file' (FORMAT binary);
TABLE copied;

-- 4. Checks of a text
SELECT t, vin_is_valid(t), vin_check(t) FROM (VALUES
    ('1M8GDM9AXKP042788'), ('1m8gdm9axkp042788'),
    ('1M8GDM9A1KP042788'),          -- check digit wrong
    ('11111111111111111'),          -- valid, but no letter: more likely a number of some device
    ('1M8GDM9A4KP04278A'),          -- does not end in four digits
    ('WVWZZZ1JZXW000001'),          -- no check digit, the European way
    ('AVWZZZ1JZXW000001'),          -- nor is that European
    ('TRACKER0000012345'), ('bus 17'), (''), ('1M8GDM9AXKP042788 '), ('a1b2c3d4-e5f6-7890')
) AS x(t);

-- 5. Parts
SELECT vin_wmi(v), vin_manufacturer(v), vin_region(v), vin_vds(v), vin_vis(v), vin_model_year(v), vin_plant(v), vin_serial(v)
FROM (SELECT '1M8GDM9AXKP042788'::vin AS v) x;
-- a check digit to numbers that test the parts
CREATE FUNCTION pg_temp.with_check_digit(n text) RETURNS vin LANGUAGE sql AS $$
    SELECT (overlay(n PLACING d FROM 9 FOR 1))::vin FROM unnest(string_to_array('0,1,2,3,4,5,6,7,8,9,X', ',')) d
    WHERE vin_is_valid(overlay(n PLACING d FROM 9 FOR 1)) $$;
SELECT vin_manufacturer(pg_temp.with_check_digit('1T9AA11A_KP042788')) AS small_maker;
SELECT y, vin_model_year(pg_temp.with_check_digit('1T9AA11A_' || y || 'P042788')) AS digit_in_7, vin_model_year(pg_temp.with_check_digit('1T9AA1AA_' || y || 'P042788')) AS letter_in_7
FROM unnest(string_to_array('A,H,J,N,P,R,T,V,Y,1,9,0,U,Z', ',')) y;
SELECT c, vin_region(pg_temp.with_check_digit(c || 'T9AA11A_KP042788')) FROM unnest(string_to_array('A,H,J,R,S,Z,0,1,5,6,7,8,9', ',')) c;

-- 6. Pseudonyms: RFC 2104 over the characters, so any HMAC tool gives the same
SELECT vin_pseudonym('1M8GDM9AXKP042788', '0123456789abcdef');
SELECT vin_pseudonym('1m8gdm9axkp042788', '0123456789abcdef') = vin_pseudonym('1M8GDM9AXKP042788', '0123456789abcdef') AS same,
       vin_pseudonym('1M8GDM9AXKP042788', '0123456789abcdeg') = vin_pseudonym('1M8GDM9AXKP042788', '0123456789abcdef') AS other_key;
SELECT vin_pseudonym('1M8GDM9AXKP042788', 'short');

-- 7. Order, index, hash
SELECT v FROM (VALUES ('5GZCZ43D13S812715'::vin), ('11111111111111111'), ('1M8GDM9AXKP042788')) x(v) ORDER BY v;
SELECT '1m8gdm9axkp042788'::vin = '1M8GDM9AXKP042788', '11111111111111111'::vin < '1M8GDM9AXKP042788', '11111111111111111'::vin <> '11111111111111111',
       '11111111111111111'::vin >= '1M8GDM9AXKP042788', '11111111111111111'::vin <= '11111111111111111', '11111111111111111'::vin > '11111111111111111';
CREATE UNIQUE INDEX ON numbers (v);
INSERT INTO numbers VALUES ('1m8gdm9axkp042788');
CREATE INDEX ON numbers USING hash (v);
SELECT count(DISTINCT v) FROM (SELECT v FROM numbers UNION ALL SELECT v FROM copied) x;
SELECT vin_hash('1m8gdm9axkp042788') = vin_hash('1M8GDM9AXKP042788') AND vin_hash_extended('11111111111111111', 1) <> vin_hash_extended('11111111111111111', 2) AS hashes;

-- 8. The catalog: valid operator classes, nothing without a comment, functions declared as promised
SELECT am.amname, opc.opcname, amvalidate(opc.oid)
FROM pg_opclass opc JOIN pg_am am ON am.oid = opc.opcmethod
WHERE opc.opcintype = 'fleet.vin'::regtype ORDER BY 1;
SELECT p.oid::regprocedure AS function_amiss, p.provolatile, p.proisstrict, p.proparallel
FROM pg_proc p
WHERE p.pronamespace = 'fleet'::regnamespace
  AND ('fleet.vin'::regtype = ANY (p.proargtypes) OR p.prorettype = 'fleet.vin'::regtype)
  AND p.proname !~ '_from_parts$'
  AND (p.proname ~ '^(vin|latitude|longitude|distance_m|bearing|geometry|geography)')
  AND (p.provolatile <> 'i' OR NOT p.proisstrict OR p.proparallel <> 's');
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'fleet' AND d.deptype = 'e'
  AND d.classid IN ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_cast'::regclass)
  AND pg_describe_object(d.classid, d.objid, 0) ~ 'vin'
  AND pg_describe_object(d.classid, d.objid, 0) !~ '^type .*\[\]$'
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL;

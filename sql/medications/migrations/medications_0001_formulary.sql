-- The formulary: the medicines that every clinic may order. It belongs to no clinic, so it has no policy.

-- One spelling for texts and for what people type: lower case without accents, words separated by one space,
-- a number and its unit one word ("81 MG" and "81-mg" are "81mg"), "5.0" as "5", ".5" as "0.5", "1,000" as
-- "1000". `%` and `_` are characters like any other.
create function formulary_words(value text) returns text
language plpgsql immutable strict parallel safe
as $$
begin
    value := lower(public.unaccent('public.unaccent'::regdictionary, normalize(value, nfkc)));
    value := regexp_replace(value, '[''’ʼ`´]', '', 'g');                          -- children's: childrens
    value := regexp_replace(value, '(\d),(?=\d{3}(\D|$))', '\1', 'g');             -- 1,000: 1000
    value := regexp_replace(value, '(?<!\d)\.(?=\d)', '0.', 'g');             -- .5: 0.5
    value := regexp_replace(value, '(\.\d*[1-9])0+(?!\d)', '\1', 'g');             -- 2.50: 2.5
    value := regexp_replace(value, '(\d)\.0+(?!\d)', '\1', 'g');                   -- 5.0: 5
    value := regexp_replace(value, '(\d)[\s-]*(milligrams?|mgs)(?!\w)', '\1mg', 'g');
    value := regexp_replace(value, '(\d)[\s-]*(micrograms?|mcgs|[uμ]g)(?!\w)', '\1mcg', 'g');
    value := regexp_replace(value, '(\d)[\s-]*(grams?|gm)(?!\w)', '\1g', 'g');
    value := regexp_replace(value, '(\d)[\s-]*(millilit(er|re)s?|mls|cc)(?!\w)', '\1ml', 'g');
    value := regexp_replace(value, '(\d)[\s-]*(units?|iu)(?!\w)', '\1units', 'g');
    value := regexp_replace(value, '(\d)[\s-]*(mg|mcg|g|ml|meq)(?!\w)', '\1\2', 'g');
    value := regexp_replace(value, '(\d)\s+%', '\1%', 'g');
    value := regexp_replace(
        value,
        '\m(tab|tablet|capsule|cream|gel|inhaler|injection|lotion|ointment|pen|solution|suspension)s(?!\w)',
        '\1', 'g'
    );
    value := regexp_replace(value, '(?<!\d)\.|\.(?!\d)', ' ', 'g');               -- a point within a number only
    return btrim(regexp_replace(value, '[^a-z0-9_%.\u0080-\U0010ffff]+|[\u00a0\u2000-\u206f\u3000]+', ' ', 'g'));
end
$$;

-- The words as a text search vector of one weight. Built by hand: PostgreSQL's parser has its own ideas of
-- "0.5mg" and "500mg/125mg".
create function formulary_vector(words text, weight "char") returns tsvector
language sql immutable strict parallel safe
as $$
    select coalesce(
        string_agg(format('''%s'':%s%s', word.text, least(word.place, 16383), weight), ' '), ''
    )::tsvector
    from regexp_split_to_table(words, ' ') with ordinality as word (text, place)
    where word.text <> ''
$$;

-- What to look for: every word, in fields of these weights, whole or (`:*`) as a prefix; null without words.
create function formulary_query(words text, kind text) returns tsquery
language sql immutable strict parallel safe
as $$
    select string_agg(format('''%s''%s', word.text, kind), ' & ')::tsquery
    from regexp_split_to_table(words, ' ') as word (text)
    where word.text <> ''
$$;

-- Words in the order in which people list them: 2.5 mg before 10 mg, 0.1 mg before 0.15 mg.
create function formulary_order(words text) returns text
language sql immutable strict parallel safe
as $$
    select regexp_replace(
        regexp_replace(regexp_replace(words, '(\d)(?=[^0-9. ])', '\1 ', 'g'), '(?<![0-9.])(\d+)', '0000000\1', 'g'),
        '(?<![0-9.])\d*(\d{8})(?!\d)', '\1', 'g'
    )
$$;

create table medications (
    id uuid not null,
    name text not null,
    generic_name text not null,
    dosage_form text not null,
    strength text,
    manufacturer text,
    ndc text,
    is_controlled boolean not null default false,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    name_words text collate "C" not null generated always as (formulary_words(name)) stored,
    generic_words text collate "C" not null generated always as (formulary_words(generic_name)) stored,
    name_order text collate "C" not null generated always as (formulary_order(formulary_words(name))) stored,
    search tsvector not null generated always as (
        formulary_vector(formulary_words(name), 'A')
        || formulary_vector(formulary_words(generic_name), 'B')
        || formulary_vector(formulary_words(coalesce(strength, '') || ' ' || dosage_form), 'C')
        || formulary_vector(formulary_words(coalesce(manufacturer, '')), 'D')
    ) stored,
    constraint medications_pkey primary key (id),
    constraint medications_ndc_key unique (ndc),
    constraint medications_ndc_form check (ndc ~ '^\d{5}-\d{4}-\d{2}$'),
    constraint medications_name_length check (length(name) between 1 and 200 and name = btrim(name)),
    constraint medications_generic_name_length
    check (length(generic_name) between 1 and 300 and generic_name = btrim(generic_name)),
    constraint medications_dosage_form_length
    check (length(dosage_form) between 1 and 100 and dosage_form = btrim(dosage_form)),
    constraint medications_strength_length check (length(strength) between 1 and 100 and strength = btrim(strength)),
    constraint medications_manufacturer_length
    check (length(manufacturer) between 1 and 200 and manufacturer = btrim(manufacturer))
);

comment on column medications.ndc is 'National Drug Code, 11 digits as 5-4-2 (HIPAA form)';

-- Whoever writes, by whatever way: the version that `If-Match` compares moves on.
create function medications_next_version() returns trigger
language plpgsql
as $$
begin
    new.version := old.version + 1;
    new.updated_at := now();
    return new;
end
$$;

create trigger medications_next_version
before update on medications
for each row execute function medications_next_version();

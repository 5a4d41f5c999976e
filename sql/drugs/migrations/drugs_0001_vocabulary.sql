-- The drug vocabulary: what medicines are called, made of, and how they are controlled. It belongs to no clinic,
-- so it has no policy. `folded` and `key` texts are made by cito.plugins.drugs.folding: `folded` is lower case
-- without accents, `key` has no hyphens and spaces either.

create table drugs (
    id uuid primary key,
    generic_name text not null check (length(generic_name) between 1 and 200),
    generic_key text not null unique check (generic_key <> ''),
    ingredients text[] not null,
    ingredient_keys text[] not null check (cardinality(ingredient_keys) = cardinality(ingredients)),
    classes text[] not null default '{}',
    prescription_only boolean not null,
    is_active boolean not null default true,
    version integer not null default 1,
    updated_at timestamptz not null default now()
);

-- Every name of a drug, the generic one among them: what is typed is looked up here and nowhere else.
create table drug_aliases (
    drug_id uuid not null references drugs on delete cascade,
    kind text not null check (kind in ('generic', 'brand', 'keyword')),
    name text not null check (length(name) between 1 and 200),
    folded text not null,
    key text not null check (key <> ''),
    place smallint not null,
    primary key (drug_id, kind, name)
);

-- How a jurisdiction (ISO 3166 alpha-2) controls a drug, as it is written there.
create table drug_schedules (
    drug_id uuid not null references drugs on delete cascade,
    jurisdiction text not null check (jurisdiction ~ '^[A-Z]{2}$'),
    schedule text not null check (length(schedule) between 1 and 20),
    primary key (drug_id, jurisdiction)
);

-- A drug as the API shows it, all in one row: every query that returns drugs reads this.
create view drug_cards as
select
    d.id,
    d.generic_name,
    coalesce(a.brand_names, '{}') as brand_names,
    coalesce(a.keywords, '{}') as keywords,
    d.ingredients,
    d.classes,
    coalesce(s.schedules, '[]') as schedules,
    d.prescription_only,
    d.is_active,
    d.version
from drugs as d
left join lateral (
    select
        array_agg(name order by place) filter (where kind = 'brand') as brand_names,
        array_agg(name order by place) filter (where kind = 'keyword') as keywords
    from drug_aliases
    where drug_id = d.id
) as a on true
left join lateral (
    select
        jsonb_agg(jsonb_build_object('jurisdiction', jurisdiction, 'schedule', schedule) order by jurisdiction)
            as schedules
    from drug_schedules
    where drug_id = d.id
) as s on true;

-- Loads pg_trgm into this session: only then may its threshold be set by whoever is no superuser.
do $$ begin perform public.similarity('', ''); end $$;

-- Names that look like each of some texts, the most similar first. The threshold belongs to the function, not to
-- the session: whoever asks, the same names are found. It stands in cito.plugins.drugs.ranking too.
create function drug_names_alike(typed text[])
returns table (core text, drug_id uuid, kind text, name text, folded text, place bigint)
language sql stable parallel safe
set pg_trgm.similarity_threshold = 0.25
as $$
    select t.core, a.drug_id, a.kind, a.name, a.folded, a.place
    from unnest(typed) as t (core)
    cross join lateral (
        select
            n.drug_id, n.kind, n.name, n.folded,
            row_number() over (
                order by public.similarity(n.folded, t.core) desc, n.folded, n.drug_id
            ) as place
        from public.drug_aliases as n
        where n.folded operator(public.%) t.core
        order by place
        limit 60
    ) as a
$$;

grant select, insert, update, delete on drugs, drug_aliases, drug_schedules to cito_app;
grant select on drug_cards to cito_app;

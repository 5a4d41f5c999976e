create table items (
    clinic_id uuid not null,
    id integer not null,
    name text not null,
    note text,
    version integer not null default 1,
    primary key (clinic_id, id)
);

create table parts (
    clinic_id uuid not null,
    id integer not null,
    item_id integer not null,
    primary key (clinic_id, id),
    foreign key (clinic_id, item_id) references items (clinic_id, id) on delete cascade
);

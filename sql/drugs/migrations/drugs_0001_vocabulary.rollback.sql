drop function drug_names_alike(text[]);
drop view drug_cards;
drop table drug_schedules;
drop table drug_aliases;
drop table drugs;

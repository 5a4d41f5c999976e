drop table parts; drop table items;

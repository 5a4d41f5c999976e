drop table medications;
drop function medications_next_version();
drop function formulary_order(text);
drop function formulary_query(text, text);
drop function formulary_vector(text, "char");
drop function formulary_words(text);

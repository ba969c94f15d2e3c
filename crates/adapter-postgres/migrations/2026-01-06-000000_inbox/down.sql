drop table b24sync.receivers;
drop table b24sync.hints;

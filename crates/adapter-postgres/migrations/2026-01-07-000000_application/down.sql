drop table b24sync.application;

drop table b24sync.portal_methods, b24sync.portal_rate;

-- One log per aggregate; each is the topic of the same name.
SELECT es.create_log('bayline.workshop.v1.JobEvent');
SELECT es.create_log('bayline.workshop.v1.SiteEvent');
SELECT es.create_log('bayline.workshop.v1.TenantEvent');

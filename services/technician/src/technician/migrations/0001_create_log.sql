SELECT es.create_log('bayline.technician.v1.TechnicianEvent');

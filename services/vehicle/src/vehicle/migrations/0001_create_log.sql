SELECT es.create_log('bayline.vehicle.v1.VehicleEvent');

-- Tables and rows of a database that mlflow 3.17.2 made, as far as an import reads them.
CREATE TABLE "datasets" (
	dataset_uuid VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	digest VARCHAR(36) NOT NULL, 
	dataset_source_type VARCHAR(36) NOT NULL, 
	dataset_source TEXT NOT NULL, 
	dataset_schema TEXT, 
	dataset_profile TEXT, 
	CONSTRAINT dataset_pk PRIMARY KEY (experiment_id, name, digest), 
	CONSTRAINT fk_datasets_experiment_id_experiments FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
INSERT INTO "datasets" VALUES('8aae6106a1af43e0a3ded395e4de1b15',1,'ds','ebd67c81','code','{"tags": {"mlflow.user": "root", "mlflow.source.name": "-", "mlflow.source.type": "LOCAL"}}','{"mlflow_tensorspec": {"features": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 2]}}]", "targets": null}}','{"features_shape": [2, 2], "features_size": 4, "features_nbytes": 32}');
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','/elsewhere/mlruns/0','active',1795598642061,1795598642061,'default');
INSERT INTO "experiments" VALUES(1,'parts','file:///elsewhere/art28','active',1795598642063,1795598642063,'default');
CREATE TABLE input_tags (
	input_uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value VARCHAR(500) NOT NULL, 
	CONSTRAINT input_tags_pk PRIMARY KEY (input_uuid, name)
);
INSERT INTO "input_tags" VALUES('fba1be45360c47e0a87869671a8f797b','mlflow.data.context','training');
CREATE TABLE inputs (
	input_uuid VARCHAR(36) NOT NULL, 
	source_type VARCHAR(36) NOT NULL, 
	source_id VARCHAR(36) NOT NULL, 
	destination_type VARCHAR(36) NOT NULL, 
	destination_id VARCHAR(36) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT inputs_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
INSERT INTO "inputs" VALUES('fba1be45360c47e0a87869671a8f797b','DATASET','8aae6106a1af43e0a3ded395e4de1b15','RUN','79fd6d8a9dd94b5683a9d737bdfcbb22',0);
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('loss',1.0,1795598642703,'79fd6d8a9dd94b5683a9d737bdfcbb22',0,0);
INSERT INTO "metrics" VALUES('loss',0.5,1795598642756,'79fd6d8a9dd94b5683a9d737bdfcbb22',1,0);
INSERT INTO "metrics" VALUES('loss',3.33333333333333314829e-01,1795598642776,'79fd6d8a9dd94b5683a9d737bdfcbb22',2,0);
INSERT INTO "metrics" VALUES('loss',0.25,1795598642786,'79fd6d8a9dd94b5683a9d737bdfcbb22',3,0);
INSERT INTO "metrics" VALUES('loss',0.2,1795598642795,'79fd6d8a9dd94b5683a9d737bdfcbb22',4,0);
INSERT INTO "metrics" VALUES('bad',0.0,1795598642815,'79fd6d8a9dd94b5683a9d737bdfcbb22',1,1);
INSERT INTO "metrics" VALUES('big',1.79769313486231562234e+308,1795598642823,'79fd6d8a9dd94b5683a9d737bdfcbb22',1,0);
INSERT INTO "metrics" VALUES('train/loss',0.5,1795598642832,'79fd6d8a9dd94b5683a9d737bdfcbb22',-3,0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('lr','0.1','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "params" VALUES('epochs','3','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "params" VALUES('lr','2','0977e0ada63049078eccc9dc4bc54d6e');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('79fd6d8a9dd94b5683a9d737bdfcbb22','first','UNKNOWN','','','root','FINISHED',1795598642615,1795598642912,'','active','file:///elsewhere/art28/79fd6d8a9dd94b5683a9d737bdfcbb22/artifacts',1,NULL);
INSERT INTO "runs" VALUES('0977e0ada63049078eccc9dc4bc54d6e','second','UNKNOWN','','','root','FINISHED',1795598642932,1795598642958,'','deleted','file:///elsewhere/art28/0977e0ada63049078eccc9dc4bc54d6e/artifacts',1,1795598642982);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('mlflow.user','root','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "tags" VALUES('mlflow.source.name','-','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "tags" VALUES('mlflow.runName','first','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "tags" VALUES('who','me','79fd6d8a9dd94b5683a9d737bdfcbb22');
INSERT INTO "tags" VALUES('mlflow.user','root','0977e0ada63049078eccc9dc4bc54d6e');
INSERT INTO "tags" VALUES('mlflow.source.name','-','0977e0ada63049078eccc9dc4bc54d6e');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','0977e0ada63049078eccc9dc4bc54d6e');
INSERT INTO "tags" VALUES('mlflow.runName','second','0977e0ada63049078eccc9dc4bc54d6e');

// Package api holds the wire types of Tidemill's HTTP API under /api/v1. The gateway and serving write them, the command
// line and the dashboard read them. Lists are {"items":[…]}; errors are RFC 9457 problem documents.
//
//	POST   /api/v1/resources                        apply YAML or JSON documents; ?dryRun=true only compares   → List[Applied]
//	GET    /api/v1/resources/{kind}                 → List[Resource]     kind: datasets, models, policies
//	GET    /api/v1/resources/{kind}/{name}          → Resource
//	DELETE /api/v1/resources/{kind}/{name}          → Applied
//	POST   /api/v1/datasets/{d}/rows                a body of rows; NDJSON, CSV or Parquet by Content-Type; ?id= makes a retry safe → Published
//	POST   /api/v1/datasets/{d}/files               the same bodies as one file (a batch with a name: ?name=); the same bytes are the same batch, unless ?again=true → Published
//	GET    /api/v1/datasets                         → List[Dataset]
//	GET    /api/v1/datasets/{d}                     → Dataset
//	GET    /api/v1/datasets/{d}/batches/{batch}     → Batch
//	GET    /api/v1/datasets/{d}/segments            → List[Segment], newest first; ?limit=
//	GET    /api/v1/datasets/{d}/quarantine          → List[Quarantine]
//	GET    /api/v1/datasets/{d}/quarantine/{o}/rows → List[QuarantinedRow]; ?limit=&offset=
//	POST   /api/v1/datasets/{d}/quarantine/{o}/release | /drop → Asked
//	GET    /api/v1/models                           → List[Model]
//	GET    /api/v1/models/{m}                       → Model
//	GET    /api/v1/models/{m}/cycles                → List[Cycle], newest first; ?limit=
//	GET    /api/v1/models/{m}/cycles/{cycle}        → Cycle
//	GET    /api/v1/models/{m}/versions              → List[Version], newest first
//	GET    /api/v1/models/{m}/metrics               → List[MetricPoint]; ?bucket=7d&version=&from=&to=
//	GET    /api/v1/models/{m}/why                   → Why; ?version=
//	GET    /api/v1/models/{m}/why-not               → WhyNot
//	GET    /api/v1/models/{m}/lineage               → Lineage; ?version=
//	GET    /api/v1/models/{m}/trial                 → Plan: a trial as a worker is told it; ?candidate=&window=&cycle= or ?version=
//	GET    /api/v1/models/{m}/snapshot              a tar of what a trainer would see; the same parameters
//	GET    /api/v1/trials/{trial}                   → TrialDetail
//	GET    /api/v1/trials/{trial}/log               text; ?follow=true
//	PUT    /api/v1/code/{sha256}                    a packed source folder → events.Blob; HEAD: is it stored?
//	PUT    /api/v1/imports/{sha256}                 an ONNX model → events.Blob; HEAD: is it stored?
//	GET    /api/v1/blobs/{key}                      bytes that facts name: segments, code, models, what trials left
//	POST   /api/v1/models/{m}/retrain               Retrain  → Asked
//	POST   /api/v1/models/{m}/rollback              Rollback → Asked
//	POST   /api/v1/models/{m}/pause | /resume       Pause | nothing → Asked
//	POST   /api/v1/models/{m}/predict               a file of rows by Content-Type; ?version=; Accept says the form of the answer
//	GET    /api/v1/alerts                           → List[Alert]; ?open=true
//	GET    /api/v1/facts                            server-sent events; ?types=&model=&since=&follow=true; event: fact | progress | rates
//	                                                data: FactEvent | events.TrialProgressed | Rates; id: the FACTS sequence
//	                                                since=1 begins with the first fact, since=-200 200 facts before the newest,
//	                                                0 (the default) with the next one; progress and rates come without ?types=
//	GET    /api/v1/facts/{seq}                      → FactEvent
//	GET    /api/v1/subscriptions/{durable}/next     long poll; ?types=&model=&since=&wait=30s → FactEvent or 204
//	POST   /api/v1/subscriptions/{durable}/ack      Ack → 204
//	GET    /api/v1/dead                             → List[Dead]
//	GET    /api/v1/dead/{seq}                       → Dead
//	POST   /api/v1/dead/{seq}/replay                → Asked
//	GET    /api/v1/status                           → Status
//	POST   /api/v1/login-codes                      → LoginLink
package api

// Package runtime runs one trial: one training run of one candidate with one set of hyperparameters.
//
// A trial is a [Spec]. A [Runner] reads its rows, trains by a built-in trainer or by a process (any framework, any language;
// see the process contract below), checks that the model keeps its contract, and scores the validation rows itself:
// the trainer's own figures are shown and never judged. A [Worker] pulls specs from the job queue and lands their results.
//
// # The process contract
//
// The command runs in its own process group, in a copy of the candidate's source folder, with nothing of the worker's
// environment but PATH, LANG and the secrets that the candidate names, within the candidate's limits, and as another user where
// [Options] name one. A requirements.txt in the source gets a virtual environment: see [Environments]. Whatever it starts
// is gone when it ends: see package guard. It gets:
//
//	SM_CHANNEL_TRAIN, SM_CHANNEL_TRAINING  folder with train.parquet (or train.csv) and schema.json
//	SM_CHANNEL_VALIDATION                  folder with validation.parquet (or .csv) and schema.json
//	SM_CHANNEL_MODEL                       in a warm start: the champion's model.onnx and what else its trainer left
//	SM_MODEL_DIR                           where it leaves model.onnx
//	SM_OUTPUT_DATA_DIR                     for anything else; thrown away with the trial
//	SM_HPS, SM_HP_<NAME>                   hyperparameters, as JSON and one by one; also as --name value arguments
//	SM_NUM_CPUS, SM_NUM_GPUS, SM_HOSTS, SM_CURRENT_HOST
//	TIDEMILL_CHECKPOINT_DIR                kept between attempts of the same trial, on whichever worker
//	TIDEMILL_SEED                          of the trial
//	TIDEMILL_TRIAL                         the trial and its attempt
//	TIDEMILL_REFIT, TIDEMILL_REPORTED      in a refit: 1, and what the judged trial reported, as JSON
//	OMP_NUM_THREADS and its like           the candidate's resources.cpu, when that is given
//	HOME, TMPDIR                           inside the trial's scratch folder
//	PYTHONUNBUFFERED, PYTHONHASHSEED       so that lines arrive as they are printed, and runs repeat
//
// A line of its output that is a JSON object reports every number in it as a metric ("progress", from 0 to 1, as how far it
// is); a candidate may declare regular expressions for other forms.
package runtime

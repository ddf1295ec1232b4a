package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/core/evaluation"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
)

// score computes the platform's own figures on the validation rows.
func (t *run) score(ctx context.Context, scorer model.Predictor) error {
	answers, err := scorer.Score(ctx, t.validate.Batch)
	if err != nil {
		return ofTheModel("on the validation rows, ", err)
	}
	scored, skipped := judged(t.spec.Task, t.train.Classes, t.validate, answers)
	for _, line := range skipped {
		t.out.line(line)
	}
	t.result.Validation, err = evaluation.Compute(scored)
	if errors.Is(err, evaluation.ErrUnusable) {
		return failed("%v", err)
	}
	return err
}

// judged pairs answers with labels. Rows of classes that training has not seen can't be judged; they are left out, with a
// line for the log about each.
func judged(task string, classes []string, rows Rows, answers []float32) (*evaluation.Scored, []string) {
	out := &evaluation.Scored{Task: task}
	if task == resource.TaskMulticlass {
		return judgedClasses(classes, rows, answers)
	}
	width := len(answers) / rows.Batch.N
	for i, y := range rows.Label {
		out.Label = append(out.Label, y)
		out.Scores = append(out.Scores, float64(answers[i*width+width-1])) // the positive class is the last one
	}
	out.Time = rows.Time
	return out, nil
}

func judgedClasses(classes []string, rows Rows, answers []float32) (*evaluation.Scored, []string) {
	out := &evaluation.Scored{Task: resource.TaskMulticlass, Classes: len(classes)}
	index := make(map[string]int, len(classes))
	for i, c := range classes {
		index[c] = i
	}
	unseen := map[string]any{}
	for i, y := range rows.Label {
		class := rows.Classes[int(y)]
		k, ok := index[class]
		if !ok {
			n, _ := unseen[class].(int)
			unseen[class] = n + 1
			continue
		}
		out.Label = append(out.Label, float64(k))
		for _, p := range answers[i*len(classes) : (i+1)*len(classes)] {
			out.Scores = append(out.Scores, float64(p))
		}
	}
	var lines []string
	for _, class := range sortedNames(unseen) {
		lines = append(lines, fmt.Sprintf("tidemill: %v validation rows have the class %q, which training has not seen: they are left out", unseen[class], class))
	}
	return out, lines
}

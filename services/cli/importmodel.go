package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// importing is one import command.
type importing struct {
	*app
	model, path, through, reason string
	wait                         bool
}

func (a *app) importModel() *cobra.Command {
	i := importing{app: a}
	c := &cobra.Command{Use: "import MODEL --onnx FILE", Short: "Bring an existing model through the gates", Args: needs("MODEL"),
		Long: "Bring an existing ONNX model: instead of training, a cycle checks it, scores it and holds it to the gates of the model, against\n" +
			"the champion if there is one. Its inputs and outputs must be those of the model's features and label. It is judged on rows\n" +
			"later than --trained-through: without it, it may be judged on rows that it was trained on.",
		Example:           "  tidemill import flight-delay --onnx model.onnx --trained-through 2001-02-01T00:00:00Z --wait",
		ValidArgsFunction: a.completeOne(a.modelNames)}
	f := c.Flags()
	f.StringVar(&i.path, "onnx", "", "the model")
	f.StringVar(&i.through, "trained-through", "", "newest event time that it was trained on: 2001-02-01 or 2001-02-01T12:00:00Z")
	f.StringVar(&i.reason, "reason", "", "why, for those who ask later")
	f.BoolVar(&i.wait, "wait", false, "follow the cycle to its end")
	_ = c.MarkFlagFilename("onnx", "onnx") // fails for a flag that isn't there
	c.RunE = func(c *cobra.Command, args []string) error {
		i.model = args[0]
		return i.run(c.Context())
	}
	return c
}

func (i *importing) run(ctx context.Context) error {
	if i.path == "" {
		return wrongly("--onnx FILE", "which model?")
	}
	through, err := instant(i.through)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(i.path)
	if err != nil {
		return failed("", "can't read %s: %s", i.path, cause(err))
	}
	if _, err := model.Inspect(b); err != nil {
		return failed("export the model to ONNX first", "%s is no ONNX model: %s", i.path, err)
	}
	client, err := i.client()
	if err != nil {
		return err
	}
	sum := events.SHA256(b)
	brought := events.Import{ONNX: events.Blob{Key: "imports/" + sum + ".onnx", SHA256: sum, Bytes: int64(len(b))}, TrainedThrough: through, Name: filepath.Base(i.path)}
	r := retraining{app: i.app, client: client, path: "/api/v1/models/" + url.PathEscape(i.model), screen: i.screen()}
	if err := r.settled(ctx); err != nil {
		return err
	}
	if err := i.sendContent(ctx, client, "/api/v1/imports/"+sum, "sending "+brought.Name, b); err != nil {
		return err
	}
	asked, err := call.Post[api.Asked](ctx, client, r.path+"/retrain", nil, api.Retrain{Reason: i.reason, Import: &brought})
	if err != nil {
		return err
	}
	if !i.wait {
		fmt.Fprintf(i.Out, "asked for a cycle of %s with %s; follow it with: tidemill watch %s\n", i.model, brought.Name, i.model)
		return nil
	}
	return r.follow(ctx, asked)
}

// instant reads a time or a day, in UTC.
func instant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, wrongly("write 2001-02-01 or 2001-02-01T12:00:00Z", "%q is no time", text)
}

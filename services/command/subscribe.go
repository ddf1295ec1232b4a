package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// subscription is what subscribe was asked for.
type subscription struct {
	types                []string
	model, durable, exec string
	since                uint64
}

func (a *app) subscribe() *cobra.Command {
	var s subscription
	c := &cobra.Command{Use: "subscribe TYPE …", Short: "Print facts as JSON lines, or run a command for each",
		Example: "  tidemill subscribe model.ready\n  tidemill subscribe model.ready --model flight-delay --durable hook --exec ./deploy.sh",
		RunE: func(c *cobra.Command, types []string) error {
			for _, t := range types {
				if _, ok := events.TypeFromShort(t); !ok {
					return wrongly("unknown fact type %q; for example model.ready, cycle.ended, alert.raised: all are %s", t, allTypes())
				}
			}
			s.types = types
			if len(types) == 0 {
				s.types = []string{events.ModelReadyType.Short()}
			}
			client, err := a.api()
			if err != nil {
				return err
			}
			if s.durable != "" {
				return a.durable(c.Context(), client, s)
			}
			return a.follow(c.Context(), client, s)
		}}
	f := c.Flags()
	f.StringVar(&s.model, "model", "", "only facts about this model (or dataset, of segment facts)")
	f.StringVar(&s.durable, "durable", "", "remember under this name what was handled, across restarts")
	f.Uint64Var(&s.since, "since", 0, "first sequence to see (default: only new facts)")
	f.StringVar(&s.exec, "exec", "", "shell command to run for each fact, which it gets on standard input; the fact is done when it exits 0")
	return c
}

func allTypes() string {
	var out []string
	for _, t := range events.Types() {
		out = append(out, t.Short())
	}
	return strings.Join(out, ", ")
}

func (s subscription) query() url.Values {
	q := url.Values{"types": {strings.Join(s.types, ",")}}
	if s.model != "" {
		q.Set("model", s.model)
	}
	if s.since > 0 {
		q.Set("since", fmt.Sprint(s.since))
	}
	return q
}

// follow prints what comes; after a break it goes on behind the last fact.
func (a *app) follow(ctx context.Context, client *call.Client, s subscription) error {
	for {
		q := s.query()
		q.Set("follow", "true")
		err := client.Stream(ctx, q, func(e call.Event) error {
			if e.Name != "fact" {
				return nil
			}
			var fact api.FactEvent
			if err := json.Unmarshal(e.Data, &fact); err != nil {
				return fmt.Errorf("read fact: %w", err)
			}
			if err := a.handle(ctx, s, fact); err != nil {
				return err
			}
			s.since = fact.Seq + 1
			return nil
		})
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return nil
		}
	}
}

// durable pulls one fact at a time, and acknowledges it when it is handled.
func (a *app) durable(ctx context.Context, client *call.Client, s subscription) error {
	path := "/api/v1/subscriptions/" + url.PathEscape(s.durable)
	q := s.query()
	q.Set("wait", "20s")
	for failures := 0; ; {
		resp, err := client.Do(ctx, http.MethodGet, path+"/next", q, nil, "application/json")
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var next api.FactEvent
		none := resp.StatusCode == http.StatusNoContent
		if !none {
			err = json.NewDecoder(resp.Body).Decode(&next)
		}
		resp.Body.Close()
		switch {
		case none:
			continue
		case err != nil:
			return fmt.Errorf("read fact: %w", err)
		}
		if err := a.handle(ctx, s, next); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			failures++
			fmt.Fprintf(a.Err, "fact %d: %v; it comes again\n", next.Seq, err)
			if err := pause(ctx, min(time.Minute, time.Second<<min(failures, 6))); err != nil {
				return nil
			}
			continue
		}
		failures = 0
		if _, err := call.Post[struct{}](context.WithoutCancel(ctx), client, path+"/ack", nil, api.Ack{Seq: next.Seq}); err != nil {
			return err
		}
	}
}

// handle prints the fact, or runs the command.
func (a *app) handle(ctx context.Context, s subscription, f api.FactEvent) error {
	line, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write fact: %w", err)
	}
	line = append(line, '\n')
	if s.exec == "" {
		_, err := a.Out.Write(line)
		return err
	}
	var p struct {
		Model   string `json:"model"`
		Version string `json:"version"`
	}
	_ = f.Decode(&p)
	cmd := exec.CommandContext(ctx, "sh", "-c", s.exec)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(line), a.Out, a.Err
	cmd.Env = append(os.Environ(), "TIDEMILL_FACT_TYPE="+f.Type.Short(), "TIDEMILL_MODEL="+p.Model, "TIDEMILL_VERSION="+p.Version)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", s.exec, err)
	}
	return nil
}

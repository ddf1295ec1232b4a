package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

type subscription struct {
	*app
	client        *call.Client
	types         []string
	name, durable string
	since         int64
	command       string
}

func (a *app) subscribe() *cobra.Command {
	s := subscription{app: a}
	c := &cobra.Command{Use: "subscribe TYPE…", Short: "Follow facts such as model.ready, and run a command for each",
		Long: "Write one line of JSON, a CloudEvent, for each fact of the given types, as it happens. With --durable the platform remembers\n" +
			"under that name how far you are: nothing is missed while the command does not run. With --exec a command runs for each\n" +
			"fact, with its JSON on standard input and TIDEMILL_FACT_TYPE, TIDEMILL_MODEL and TIDEMILL_VERSION in its environment; the\n" +
			"fact is done when the command exits with 0, and tried again, ever more slowly, when it does not.\n\n" +
			"Types: " + wrap(factTypes(), 118, "       ") + ".",
		Example: "  tidemill subscribe model.ready\n" +
			"  tidemill subscribe model.ready --model flight-delay --durable deploy-hook --exec './deploy.sh'\n" +
			"  tidemill subscribe alert.raised alert.resolved\n  tidemill subscribe cycle.ended --since 1",
		ValidArgsFunction: fixed(factTypes()...),
		Args:              checkTypes,
	}
	f := c.Flags()
	f.StringVar(&s.name, "model", "", "only facts about this model and its dataset")
	f.StringVar(&s.durable, "durable", "", "name under which the platform remembers how far you are")
	f.Int64Var(&s.since, "since", 0, "begin with this sequence: 1 is the first fact, -5 the fifth before the newest (default: what is new)")
	f.StringVar(&s.command, "exec", "", "command to run for each fact, by sh -c")
	a.completeFlag(c, "model", a.modelNames)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		s.types = args
		if s.durable != "" && events.ValidName(s.durable) != nil {
			return wrongly("use 1 to 63 lower-case letters, digits or hyphens", "%q is no name for --durable", s.durable)
		}
		if s.client, err = a.client(); err != nil {
			return err
		}
		if s.durable != "" {
			return s.followDurable(c.Context())
		}
		return s.followLive(c.Context())
	}
	return c
}

// wrap breaks a list into lines.
func wrap(words []string, width int, indent string) string {
	var b strings.Builder
	column := len(indent)
	for i, w := range words {
		if i > 0 {
			b.WriteString(",")
			if column += len(w) + 2; column > width {
				b.WriteString("\n" + indent)
				column = len(indent) + len(w)
			} else {
				b.WriteString(" ")
			}
		} else {
			column += len(w)
		}
		b.WriteString(w)
	}
	return b.String()
}

func checkTypes(c *cobra.Command, got []string) error {
	if len(got) == 0 {
		return wrongly("for example: tidemill subscribe model.ready", "%s needs the type of a fact", c.CommandPath())
	}
	for _, t := range got {
		if _, ok := events.TypeFromShort(t); !ok {
			hint := resource.Suggest(t, factTypes())
			if hint == "" {
				hint = "types: " + strings.Join(factTypes(), ", ")
			}
			return wrongly(hint, "there is no fact type %q", t)
		}
		if t == events.PolicyEvaluatedType.Short() || t == events.TrialProgressedType.Short() {
			return wrongly("'tidemill watch' and 'tidemill why-not' show it", "%s is not in the ledger, it can't be subscribed to", t)
		}
	}
	return nil
}

func (s *subscription) query() url.Values {
	q := url.Values{"types": {strings.Join(s.types, ",")}}
	if s.name != "" {
		q.Set("model", s.name)
	}
	if s.since != 0 {
		q.Set("since", strconv.FormatInt(s.since, 10))
	}
	return q
}

// followLive follows server-sent events.
func (s *subscription) followLive(ctx context.Context) error {
	q := s.query()
	q.Set("follow", "true")
	return s.live(ctx, s.client, q, func(e call.Event) error {
		if e.Name != "fact" {
			return nil
		}
		var fact api.FactEvent
		if err := json.Unmarshal(e.Data, &fact); err != nil {
			return fmt.Errorf("read fact %s: %w", e.ID, err)
		}
		return s.handle(ctx, fact)
	})
}

// followDurable takes facts one at a time and acknowledges each when it was handled.
func (s *subscription) followDurable(ctx context.Context) error {
	q := s.query()
	q.Set("wait", "30s")
	path := "/api/v1/subscriptions/" + url.PathEscape(s.durable)
	wait, connected, told := backoff{}, false, false
	handled := uint64(0) // that is still to be acknowledged
	for ctx.Err() == nil || handled != 0 {
		err := s.step(ctx, path, q, &handled)
		var refused *call.Error
		var ours failure
		switch {
		case err == nil:
			connected, told = true, false
			wait.reset()
			continue
		case ctx.Err() != nil:
			return nil
		case !connected || errors.As(err, &ours) || errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
			return err
		}
		if !told {
			s.note("the connection is lost; trying again until it is back")
			told = true
		}
		if wait.wait(ctx) != nil {
			return nil
		}
	}
	return nil
}

// step takes and handles one fact, or acknowledges the one that was handled.
func (s *subscription) step(ctx context.Context, path string, q url.Values, handled *uint64) error {
	if *handled != 0 {
		// Though the command is about to end: what was done must not be done again.
		_, err := call.Post[struct{}](context.WithoutCancel(ctx), s.client, path+"/ack", nil, api.Ack{Seq: *handled})
		if err == nil {
			*handled = 0
		}
		return err
	}
	fact, found, err := s.next(ctx, path+"/next", q)
	if err != nil || !found {
		return err
	}
	if err := s.handle(ctx, fact); err != nil {
		return err
	}
	*handled = fact.Seq
	return nil
}

// next waits for a fact; found is false when there was none for a while.
func (s *subscription) next(ctx context.Context, path string, q url.Values) (fact api.FactEvent, found bool, err error) {
	resp, err := s.client.Do(ctx, http.MethodGet, path, q, nil, "application/json")
	if err != nil {
		return fact, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return fact, false, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&fact); err != nil {
		return fact, false, fmt.Errorf("read the next fact: %w", err)
	}
	return fact, true, nil
}

// handle writes a fact, or runs the command for it until it succeeds. An error means that ctx ended first.
func (s *subscription) handle(ctx context.Context, fact api.FactEvent) error {
	line, err := json.Marshal(fact)
	if err != nil {
		return err
	}
	line = append(bytes.TrimSpace(line), '\n')
	if s.command == "" {
		if _, err := s.Out.Write(line); err != nil {
			return failed("", "the fact can't be written: %s", err)
		}
		return nil
	}
	wait := backoff{}
	for {
		err := s.run(ctx, fact.Fact, line)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.note("%s (sequence %d): %s; trying again", fact.Type.Short(), fact.Seq, err)
		if err := wait.wait(ctx); err != nil {
			return err
		}
	}
}

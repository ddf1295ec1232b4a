package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

func (a *app) logs() *cobra.Command {
	follow := false
	c := &cobra.Command{Use: "logs TRIAL", Short: "Show what a trial prints", Args: needs("TRIAL"),
		Long: "Show what a trial prints: all of it when it has ended, and what has come so far while it runs. 'tidemill get trials CYCLE'\n" +
			"names the trials. With --follow it goes on until the trial has ended; the exit code is 1 when it failed.",
		Example: "  tidemill logs flight-delay-3-lightgbm-1\n  tidemill logs flight-delay-3-lightgbm-1 -f"}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the trial has ended")
	c.RunE = func(c *cobra.Command, args []string) error { return a.printLog(c.Context(), args[0], follow) }
	return c
}

func (a *app) printLog(ctx context.Context, trial string, follow bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	if follow {
		query.Set("follow", "true")
	}
	path := "/api/v1/trials/" + url.PathEscape(trial)
	resp, err := client.Do(ctx, http.MethodGet, path+"/log", query, nil, "text/plain")
	if err != nil {
		return err
	}
	_, err = io.Copy(a.Out, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	switch {
	case ctx.Err() != nil: // a person has seen enough
		return nil
	case err != nil:
		return fmt.Errorf("read the log of %s: %w", trial, err)
	}
	t, err := call.Get[api.TrialDetail](ctx, client, path, nil)
	if err != nil {
		return err
	}
	if t.State == "failed" {
		a.note("%s failed: %s", trial, t.Reason)
		if follow {
			return silent{errors.New(t.Reason)}
		}
	}
	return nil
}

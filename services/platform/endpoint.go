package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tidemill/tidemill/events/client"
	"github.com/tidemill/tidemill/infra/auth"
)

// Endpoint is how commands and clients find this process; Login is a link that opens the dashboard once.
type Endpoint struct {
	client.Endpoint
	Login string `json:"-"`
}

const endpointFile = "endpoint.json"

// publishEndpoint writes endpoint.json into the data directory and the user's state folder, readable by the user alone. The
// returned function takes away what is still ours.
func publishEndpoint(dataDir string, e client.Endpoint) (remove func(), err error) {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, err
	}
	paths := []string{filepath.Join(dataDir, endpointFile)}
	if err := writePrivate(paths[0], b); err != nil {
		return nil, fmt.Errorf("publish the endpoint: %w", err)
	}
	if dir := client.StateDir(); dir != "" {
		path := filepath.Join(dir, endpointFile)
		// A home that can't be written to is no reason not to start: commands find the data directory.
		if os.MkdirAll(dir, 0o700) == nil && writePrivate(path, b) == nil {
			paths = append(paths, path)
		}
	}
	return func() {
		for _, path := range paths {
			if now, err := os.ReadFile(path); err == nil && string(now) == string(b) {
				_ = os.Remove(path)
			}
		}
	}, nil
}

// secret is a secret kept in a file of the data directory, made on first use.
func secret(dataDir, name string) (string, error) {
	path := filepath.Join(dataDir, name)
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	token := auth.NewToken()
	if err := writePrivate(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("keep secret: %w", err)
	}
	return token, nil
}

func writePrivate(path string, b []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

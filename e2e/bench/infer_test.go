package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
)

const (
	connections = 8
	loadFor     = 3 * time.Second
	loadRounds  = 3
	helloEnv    = "TIDEMILL_BENCH_HELLO"
)

// BenchmarkInfer asks for one row at a time over kept-alive connections, on feature tensors and on raw columns, and the same of a
// server of the same stack in its own process that reads the request and says hello.
func BenchmarkInfer(b *testing.B) {
	m := harness.Up(b, harness.Dir(b), nil)
	m.Apply(harness.Declared{Features: `hour("at")::VARCHAR AS hour, pages, source`}.YAML())
	done := m.RunWith(harness.VisitsNDJSON(0, 2500, false), "publish", "visits", "-")
	require.Zero(b, done.Code, done.Stderr)
	harness.Until(b, time.Minute, "there is a champion", func() bool { return m.Model("buyers").Champion != nil })
	target, err := url.Parse(m.Endpoint.HTTP)
	require.NoError(b, err)
	hello := startHello(b)

	tensors := `{"parameters":{"input":"features"},"inputs":[{"name":"hour","datatype":"BYTES","shape":[1,1],"data":["7"]},` +
		`{"name":"pages","datatype":"FP32","shape":[1,1],"data":[12]},{"name":"source","datatype":"BYTES","shape":[1,1],"data":["ad"]}]}`
	columns := `{"parameters":{"input":"columns"},"inputs":[{"name":"at","datatype":"BYTES","shape":[1],"data":["2024-03-02T07:00:00Z"]},` +
		`{"name":"pages","datatype":"FP64","shape":[1],"data":[12]},{"name":"source","datatype":"BYTES","shape":[1],"data":["ad"]}]}`
	const path = "/v2/models/buyers/infer"
	var plain, onTensors, onColumns, ratioTensors, ratioColumns []float64
	for b.Loop() {
		for range loadRounds {
			p := load(b, hello, path, tensors)
			t := load(b, target.Host, path, tensors)
			c := load(b, target.Host, path, columns)
			plain, onTensors, onColumns = append(plain, p), append(onTensors, t), append(onColumns, c)
			ratioTensors, ratioColumns = append(ratioTensors, t/p), append(ratioColumns, c/p)
		}
	}
	note(b, figure{Name: "inference: hello-world of the same stack", Value: median(plain), Unit: "hello/s"})
	note(b, figure{Name: "inference: one row of feature tensors", Value: median(onTensors), Unit: "tensors/s"})
	note(b, figure{Name: "inference: one row of raw columns", Value: median(onColumns), Unit: "columns/s"})
	note(b, figure{Name: "inference: tensors to hello", Value: median(ratioTensors), Unit: "tensors-ratio", Aim: "≥ 0.5"})
	note(b, figure{Name: "inference: columns to hello", Value: median(ratioColumns), Unit: "columns-ratio", Aim: "≥ 0.35"})
}

// load sends one request after the other on each connection and returns how many a second were answered with 200.
func load(b *testing.B, host, path, body string) float64 {
	b.Helper()
	request := []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, host, len(body), body))
	var wg sync.WaitGroup
	counts, errs := make([]int, connections), make([]error, connections)
	began := time.Now()
	for i := range connections {
		wg.Go(func() { counts[i], errs[i] = ask(host, request, began.Add(loadFor)) })
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	total := 0
	for i := range connections {
		require.NoError(b, errs[i])
		total += counts[i]
	}
	return float64(total) / took
}

// ask is a client with as little of its own as can be: the server is measured.
func ask(host string, request []byte, until time.Time) (n int, err error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	in := bufio.NewReader(conn)
	for time.Now().Before(until) {
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		if err := answer(in); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func answer(in *bufio.Reader) error {
	length, status := -1, ""
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if status == "" {
			status = strings.TrimSpace(string(line))
		}
		if len(line) <= 2 {
			break
		}
		const header = "Content-Length: "
		if len(line) > len(header) && string(line[:len(header)]) == header {
			if _, err := fmt.Sscan(string(line[len(header):]), &length); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("%s: no content length", status)
	}
	if status != "HTTP/1.1 200 OK" {
		body, err := io.ReadAll(io.LimitReader(in, int64(length)))
		return fmt.Errorf("%s: %s %w", status, body, err)
	}
	_, err := in.Discard(length)
	return err
}

// startHello starts this test binary as a hello-world server and returns its address.
func startHello(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := l.Addr().String()
	require.NoError(b, l.Close())
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helloEnv+"="+addr)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	harness.Eventually(b, 10*time.Second, "hello answers", func() error {
		resp, err := http.Get("http://" + addr + "/v2/models/buyers/infer")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return addr
}

// serveHello is hello-world: the router and the server that Tidemill uses, an answer as long as a prediction's.
func serveHello(addr string) {
	r := chi.NewRouter()
	hello := []byte(`{"hello":"` + strings.Repeat("x", 170) + `"}`)
	r.HandleFunc("/v2/models/{model}/infer", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(hello)
	})
	server := &http.Server{Addr: addr, Handler: r, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
}

package serving_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

// benchConnections ask at the same time.
const benchConnections = 8

// BenchmarkInfer compares one-row inference with an answer of the same length by the same router and server, in turns and over real
// loopback connections, and reports both ratios. Client and servers share the processors.
func BenchmarkInfer(b *testing.B) {
	p := open(b)
	p.promote(binary(b, "late", "1", 1))
	bodies := map[string]string{
		"features": `{"inputs":[{"name":"far","datatype":"FP32","shape":[1,1],"data":[2.5]},{"name":"hour","datatype":"FP32","shape":[1,1],"data":[7]},` +
			`{"name":"size","datatype":"FP32","shape":[1,1],"data":[101]},{"name":"origin","datatype":"BYTES","shape":[1,1],"data":["SFO"]}]}`,
		"columns": `{"inputs":[{"name":"date","datatype":"BYTES","shape":[1],"data":["2001-01-01T07:30:00Z"]},{"name":"distance","datatype":"FP64","shape":[1],"data":[250.5]},` +
			`{"name":"seats","datatype":"INT64","shape":[1],"data":[100]},{"name":"origin","datatype":"BYTES","shape":[1],"data":["SFO"]}]}`,
	}
	status, a := p.infer("late", bodies["columns"])
	require.Equal(b, http.StatusOK, status, a.Error)
	text, err := json.Marshal(a)
	require.NoError(b, err)
	hello := helloServer(b, text)
	serves := strings.TrimPrefix(p.url, "http://")
	const round = 2000
	spent, cpu := map[string]time.Duration{}, map[string]time.Duration{}
	turn := func(name, addr, body string) {
		before := processorTime(b)
		spent[name] += ask(b, addr, body, round)
		cpu[name] += processorTime(b) - before
	}
	for b.Loop() {
		for range 3 {
			turn("hello", hello, bodies["features"])
			turn("features", serves, bodies["features"])
			turn("columns", serves, bodies["columns"])
		}
	}
	for name, d := range spent {
		b.ReportMetric(float64(b.N)*3*round/d.Seconds(), name+"/s")
		b.ReportMetric(float64(cpu[name].Microseconds())/float64(b.N*3*round), name+"-cpu-µs")
	}
	b.ReportMetric(spent["hello"].Seconds()/spent["features"].Seconds(), "features-ratio")
	b.ReportMetric(spent["hello"].Seconds()/spent["columns"].Seconds(), "columns-ratio")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what this process has used so far: on a busy machine it tells more than the clock.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// helloServer reads the request and answers always the same.
func helloServer(b *testing.B, answer []byte) (addr string) {
	r := chi.NewRouter()
	r.Post("/v2/models/{model}/infer", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	s := httptest.NewServer(r)
	b.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// ask sends n requests over benchConnections and gives the time it took. The client does as little as it can.
func ask(b *testing.B, addr, body string, n int) time.Duration {
	b.Helper()
	request := fmt.Appendf(nil, "POST /v2/models/late/infer HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", addr, len(body), body)
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	began := time.Now()
	for range benchConnections {
		group.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for left.Add(-1) >= 0 {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := discard(in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(began)
}

// discard reads an answer, which must be good.
func discard(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("%s", line)
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return err
			}
		}
		if len(line) <= 2 {
			_, err := in.Discard(length)
			return err
		}
	}
}

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/tidemill/tidemill/services/api/call"
)

const inferred = 5 // flights per segment that the demo asks about

// tensor is an input of the Open Inference Protocol.
type tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     []any  `json:"data"`
}

// infer asks the champion about the first of the flights, by raw columns.
func (p *player) infer(ctx context.Context, flights []flight) error {
	n := min(inferred, len(flights))
	inputs := []tensor{{Name: "date", Datatype: "BYTES"}, {Name: "distance", Datatype: "FP64"}, {Name: "origin", Datatype: "BYTES"}, {Name: "destination", Datatype: "BYTES"}}
	for i := range inputs {
		inputs[i].Shape = []int{n}
	}
	for _, f := range flights[:n] {
		var row flightRow
		if err := json.Unmarshal(f.row, &row); err != nil {
			return fmt.Errorf("infer: %w", err)
		}
		for i, v := range []any{row.Date, row.Distance, row.Origin, row.Destination} {
			inputs[i].Data = append(inputs[i].Data, v)
		}
	}
	body, err := json.Marshal(map[string]any{"parameters": map[string]string{"input": "columns"}, "inputs": inputs})
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	resp, err := p.o.API.Do(ctx, http.MethodPost, "/v2/models/"+model+"/infer", nil,
		&call.Body{Type: "application/json", Reader: bytes.NewReader(body), Length: int64(len(body))}, "application/json")
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	return resp.Body.Close()
}

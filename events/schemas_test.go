package events_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/schemas"
)

// payloads has one new payload struct per fact type.
func payloads() map[events.Type]any {
	return map[events.Type]any{
		events.ResourceAppliedType:    &events.ResourceApplied{},
		events.ResourceDeletedType:    &events.ResourceDeleted{},
		events.RetrainAskedType:       &events.RetrainAsked{},
		events.RollbackAskedType:      &events.RollbackAsked{},
		events.ModelPausedType:        &events.ModelPaused{},
		events.ModelResumedType:       &events.ModelResumed{},
		events.QuarantineReleasedType: &events.QuarantineReleased{},
		events.QuarantineDroppedType:  &events.QuarantineDropped{},
		events.SegmentWrittenType:     &events.SegmentWritten{},
		events.SegmentAcceptedType:    &events.SegmentAccepted{},
		events.SegmentQuarantinedType: &events.SegmentQuarantined{},
		events.SegmentObservedType:    &events.SegmentObserved{},
		events.AlertRaisedType:        &events.AlertRaised{},
		events.AlertResolvedType:      &events.AlertResolved{},
		events.PolicyEvaluatedType:    &events.PolicyEvaluated{},
		events.CycleRequestedType:     &events.CycleRequested{},
		events.CycleEndedType:         &events.CycleEnded{},
		events.TrialStartedType:       &events.TrialStarted{},
		events.TrialProgressedType:    &events.TrialProgressed{},
		events.TrialFinishedType:      &events.TrialFinished{},
		events.CandidateTrainedType:   &events.CandidateTrained{},
		events.CandidateFailedType:    &events.CandidateFailed{},
		events.CandidateApprovedType:  &events.CandidateApproved{},
		events.CandidateRejectedType:  &events.CandidateRejected{},
		events.CandidateRefittedType:  &events.CandidateRefitted{},
		events.RefitRequestedType:     &events.RefitRequested{},
		events.RolloutStartedType:     &events.RolloutStarted{},
		events.RolloutRolledBackType:  &events.RolloutRolledBack{},
		events.ModelReadyType:         &events.ModelReady{},
		events.TimerFiredType:         &events.TimerFired{},
	}
}

// TestPayloadsMatchTheirSchemas holds three descriptions of each fact together: the payload struct, the JSON Schema and the
// golden example. A field added to one of them must be added to all.
func TestPayloadsMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	var shorts []string
	for _, ty := range events.Types() {
		shorts = append(shorts, ty.Short())
	}
	require.ElementsMatch(t, shorts, schemas.Facts(), "fact types and schemas/facts")
	all := payloads()
	for _, ty := range events.Types() {
		t.Run(ty.Short(), func(t *testing.T) {
			t.Parallel()
			payload := all[ty]
			require.NotNil(t, payload, "no payload struct is listed for %s", ty)
			example, err := schemas.Example(ty.Short())
			require.NoError(t, err)
			require.NoError(t, schemas.ValidateFact(ty.Short(), example))

			var fact events.Fact
			require.NoError(t, json.Unmarshal(example, &fact))
			require.Equal(t, ty, fact.Type)
			strict := json.NewDecoder(bytes.NewReader(fact.Data))
			strict.DisallowUnknownFields()
			require.NoError(t, strict.Decode(payload), "the example has a field that the struct lacks")
			again, err := json.Marshal(payload)
			require.NoError(t, err)
			require.JSONEq(t, string(fact.Data), string(again))
			envelope, err := json.Marshal(fact)
			require.NoError(t, err)
			require.JSONEq(t, string(example), string(envelope))

			requireFull(t, ty.Short(), reflect.ValueOf(payload).Elem())
			requireSameFields(t, ty.Short(), reflect.TypeOf(payload).Elem())
		})
	}
}

// requireFull fails when the golden example leaves a field out: what it doesn't show, it doesn't pin.
func requireFull(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f, name := v.Field(i), path+"."+v.Type().Field(i).Name
		// false is as telling as true, and a leaf of a tree of reasons has no children.
		if f.Kind() == reflect.Bool || strings.Contains(name, "Children[0]") {
			continue
		}
		require.False(t, f.IsZero(), "%s is not in the golden example", name)
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch {
		case isLeaf(f.Type()):
		case f.Kind() == reflect.Struct:
			requireFull(t, name, f)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			requireFull(t, name+"[0]", f.Index(0))
		}
	}
}

// isLeaf reports whether a struct type writes itself.
func isLeaf(t reflect.Type) bool {
	return t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[events.Window]()
}

// flatten lists a struct's fields as JSON sees them, with those of embedded structs. (reflect.VisibleFields goes by Go's
// names, and would lose Version.Version behind the embedded Version.)
func flatten(typ reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Anonymous {
			out = append(out, flatten(f.Type)...)
		} else {
			out = append(out, f)
		}
	}
	return out
}

type object struct {
	Ref        string             `json:"$ref"`
	Required   []string           `json:"required"`
	Properties map[string]*object `json:"properties"`
	Items      *object            `json:"items"`
	Defs       map[string]*object `json:"$defs"`
}

// requireSameFields compares the fields of the struct, and which of them are always written, with the schema's.
func requireSameFields(t *testing.T, short string, payload reflect.Type) {
	t.Helper()
	b, err := schemas.Fact(short)
	require.NoError(t, err)
	var root object
	require.NoError(t, json.Unmarshal(b, &root))
	seen := map[reflect.Type]bool{}
	var compare func(path string, typ reflect.Type, s *object)
	compare = func(path string, typ reflect.Type, s *object) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			if typ.Kind() == reflect.Slice && s.Items != nil {
				s = s.Items
			}
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || isLeaf(typ) || seen[typ] {
			return
		}
		seen[typ] = true
		if s.Ref != "" {
			s = root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		}
		require.NotNil(t, s, path)
		var names, always []string
		for _, f := range flatten(typ) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
			if !strings.Contains(options, "omitempty") {
				always = append(always, name)
			}
			if p := s.Properties[name]; p != nil {
				compare(path+"."+name, f.Type, p)
			}
		}
		var properties []string
		for name := range s.Properties {
			properties = append(properties, name)
		}
		slices.Sort(properties)
		require.ElementsMatch(t, names, properties, "fields of %s in struct and schema", path)
		require.ElementsMatch(t, always, s.Required, "required fields of %s in struct and schema", path)
	}
	compare("data", payload, root.Properties["data"])
}

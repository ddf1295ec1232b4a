package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/events/client"
)

// Publish rows of a dataset; they are on disk when Publish returns.
func ExampleClient_Publish() {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	done, err := c.Publish(ctx, "flights", map[string]any{
		"date": "2001-03-01T08:15:00Z", "delay": 4, "distance": 337, "origin": "SEA", "destination": "SFO"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Rows, "row stored at", done.Sequence)
}

// Act on each new champion: the handler's nil acknowledges the fact, under a name that survives restarts.
func ExampleClient_OnModelReady() {
	ctx := context.Background()
	c, err := client.Connect(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = c.OnModelReady(ctx, client.Follow{Name: "flight-delay", Durable: "cache-warmer"},
		func(_ context.Context, ready events.ModelReady) error {
			fmt.Printf("%s %s is live: auc %.3f\n", ready.Model, ready.Version.Version, ready.Metrics["auc"])
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
}

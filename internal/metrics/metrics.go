// Package metrics counts the events of package web for Prometheus. Labels come
// from fixed sets (listeners, routes, statuses, reasons of our own), never from
// what a client sent, so that nobody outside can make a series.
//
//	holdfast_requests_total{listener,route,status}
//	holdfast_request_duration_seconds{listener,route}
//	holdfast_refusals_total{listener,reason}
//	holdfast_token_requests_total{auth_method,binding,result}
//	holdfast_panics_total{listener}
//	holdfast_build_info{version,goversion}
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-auth/holdfast/internal/web"
)

// Bounds on series, should a fixed set turn out not to be one: what is beyond
// counts as "other".
const (
	maxRoutes  = 1024
	maxReasons = 256
	other      = "other"
	none       = "none"
)

// Metrics is the process's metrics, in a registry of their own. Safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	routes   *children[routeKey, routeSeries]
	refusals *children[refusalKey, prometheus.Counter]
	tokens   *children[tokenKey, prometheus.Counter]
	panics   *children[string, prometheus.Counter]
}

type (
	routeKey struct {
		listener, route string
		status          int
	}
	routeSeries struct {
		requests prometheus.Counter
		duration prometheus.Observer
	}
	refusalKey struct{ listener, reason string }
	tokenKey   struct{ authMethod, binding, result string }
)

// New makes the metrics of a process of this version.
func New(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Name: name, Help: help}, labels)
	}
	requests := counter("requests_total", "Requests that were answered.", "listener", "route", "status")
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "holdfast", Name: "request_duration_seconds", Help: "Time from the request's header to the end of its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"listener", "route"})
	refusals := counter("refusals_total", "Requests that were refused or failed, by precise reason.", "listener", "reason")
	tokens := counter("token_requests_total", "Requests to the token endpoint.", "auth_method", "binding", "result")
	panics := counter("panics_total", "Panics in handlers.", "listener")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "holdfast", Name: "build_info", Help: "Always 1."}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)

	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(requests, duration, refusals, tokens, panics, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.routes = newChildren(maxRoutes, func(k routeKey) routeSeries {
		return routeSeries{requests.WithLabelValues(k.listener, k.route, statusText(k.status)), duration.WithLabelValues(k.listener, k.route)}
	})
	m.refusals = newChildren(maxReasons, func(k refusalKey) prometheus.Counter { return refusals.WithLabelValues(k.listener, k.reason) })
	m.tokens = newChildren(maxReasons, func(k tokenKey) prometheus.Counter {
		return tokens.WithLabelValues(k.authMethod, k.binding, k.result)
	})
	m.panics = newChildren(maxReasons, func(listener string) prometheus.Counter { return panics.WithLabelValues(listener) })
	return m
}

// Watch adds a gauge that is read whenever somebody asks: its name is
// "holdfast_" and name, with the unit at its end.
func (m *Metrics) Watch(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "holdfast", Name: name, Help: help}, value))
}

// Handler is GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Observe counts one event. It is web.Options.Observe.
func (m *Metrics) Observe(e *web.Event) {
	route := e.Route
	if route == "" {
		route = none
	}
	series := m.routes.of(routeKey{e.Listener, route, e.Status}, routeKey{e.Listener, other, 0})
	series.requests.Inc()
	series.duration.Observe(e.Duration.Seconds())
	if e.Reason != "" {
		m.refusals.of(refusalKey{e.Listener, e.Reason}, refusalKey{e.Listener, other}).Inc()
	}
	if e.Reason == web.ReasonPanic {
		m.panics.of(e.Listener, other).Inc()
	}
	if strings.HasSuffix(e.Route, "/token") {
		m.tokens.of(tokenKey{authMethod(e.AuthMethod), binding(e.Binding), result(e.Outcome)}, tokenKey{other, other, other}).Inc()
	}
}

// statusText is a label of three digits; 0 is that of the routes beyond the bound.
func statusText(status int) string {
	if status < 100 || status > 599 {
		return other
	}
	return strconv.Itoa(status)
}

func authMethod(s string) string {
	switch s {
	case "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth":
		return s
	}
	return none
}

func binding(s string) string {
	switch s {
	case "mtls", "dpop":
		return s
	}
	return none
}

func result(s string) string {
	switch s {
	case "issued", "refused", "failed":
		return s
	}
	return other
}

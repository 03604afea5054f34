// The render benchmark's Go side: the same families in client_golang, as constant metrics of one collector, gathered
// from a registry and encoded with expfmt. Answers each line on standard input with "SAMPLES BYTES MILLISECONDS".
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

type series struct {
	desc        *prometheus.Desc
	valueType   prometheus.ValueType
	node, drive string
	value       float64
}

type source struct{ series []series }

func (s *source) Describe(descs chan<- *prometheus.Desc) {
	var last *prometheus.Desc
	for _, one := range s.series {
		if one.desc != last {
			descs <- one.desc
			last = one.desc
		}
	}
}

func (s *source) Collect(metrics chan<- prometheus.Metric) {
	for _, one := range s.series {
		metrics <- prometheus.MustNewConstMetric(one.desc, one.valueType, one.value, one.node, one.drive)
	}
}

func number(index int) int {
	value, err := strconv.Atoi(os.Args[index])
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	families, perFamily := number(1), number(2)
	all := &source{}
	for family := 0; family < families; family++ {
		name, valueType := fmt.Sprintf("bench_%02d_bytes", family), prometheus.GaugeValue
		if family%2 == 1 {
			name, valueType = fmt.Sprintf("bench_%02d_bytes_total", family), prometheus.CounterValue
		}
		desc := prometheus.NewDesc(name, fmt.Sprintf("Bytes of bench family %d", family), []string{"node", "drive"}, nil)
		for index := 0; index < perFamily; index++ {
			all.series = append(all.series, series{
				desc, valueType,
				fmt.Sprintf("node-%03d", index/100),
				fmt.Sprintf("drive-%08d", index),
				float64((index*7919+family)%100003) * 1.5,
			})
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(all)

	requests := bufio.NewScanner(os.Stdin)
	for requests.Scan() {
		start := time.Now()
		var body bytes.Buffer
		encoder := expfmt.NewEncoder(&body, expfmt.FmtText)
		gathered, err := registry.Gather()
		if err != nil {
			panic(err)
		}
		for _, family := range gathered {
			if err := encoder.Encode(family); err != nil {
				panic(err)
			}
		}
		took := time.Since(start)
		samples := 0
		for _, line := range bytes.Split(body.Bytes(), []byte("\n")) {
			if len(line) > 0 && line[0] != '#' {
				samples++
			}
		}
		fmt.Printf("%d %d %.3f\n", samples, body.Len(), float64(took.Microseconds())/1000)
	}
}

// Connects with pgx for bench/connect.ts: it reads one task a line, and prints the milliseconds to the first row.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v4"
)

type task struct {
	URL string `json:"url"`
}

func connect(url string) (float64, error) {
	began := time.Now()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		return 0, err
	}
	_, err = conn.Exec(context.Background(), "SELECT 1")
	took := float64(time.Since(began).Microseconds()) / 1000
	conn.Close(context.Background())
	return took, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var given task
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			panic(err)
		}
		result := map[string]any{}
		if took, err := connect(given.URL); err != nil {
			result["error"] = err.Error()
		} else {
			result["ms"] = took
		}
		line, _ := json.Marshal(result)
		fmt.Println("RESULT " + string(line))
	}
}

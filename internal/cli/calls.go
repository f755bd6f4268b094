package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	defaultLimit = 50
	maxPage      = 200 // the largest page of the API
)

// request returns the request of the row, with its arguments in the path.
func (c *call) request() (request, error) {
	path := c.cmd.path
	for name, v := range c.args {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(v))
	}
	rq := request{method: c.cmd.method, path: path, query: c.query, header: map[string]string{}}
	if len(c.body) > 0 {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return rq, fmt.Errorf("encode body: %w", err)
		}
		rq.body, rq.contentType = raw, "application/json"
	}
	return rq, rq.once()
}

// once gives a POST a key of its own, so that a repetition on the way has one effect.
func (rq *request) once() error {
	if rq.method != http.MethodPost || rq.header["Idempotency-Key"] != "" {
		return nil
	}
	key, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make idempotency key: %w", err)
	}
	rq.header["Idempotency-Key"] = key.String()
	return nil
}

// send carries out an ordinary row: one request, one answer.
func send(c *call) error {
	if _, ok := c.args["host"]; ok {
		id, err := c.hostID(c.args["host"])
		if err != nil {
			return err
		}
		c.args["host"] = id
	}
	rq, err := c.request()
	if err != nil {
		return err
	}
	a, err := c.client.call(c.ctx, rq)
	if err != nil {
		return err
	}
	if len(a.body) == 0 {
		if c.cmd.done != "" && !c.json {
			fmt.Fprintln(c.out, c.cmd.done)
		}
		return nil
	}
	if err := c.show(a.body); err != nil || c.cmd.must == "" {
		return err
	}
	item, err := decode(a.body)
	if err != nil {
		return err
	}
	if lookup(item, c.cmd.must) != true {
		return errors.New(c.cmd.mustText)
	}
	return nil
}

// page is a list answer.
type page struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor *string           `json:"next_cursor"`
}

// pageOf asks for one page.
func (c *call) pageOf(path string, query url.Values) (page, http.Header, error) {
	a, err := c.client.call(c.ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return page{}, nil, err
	}
	p := page{}
	if err := json.Unmarshal(a.body, &p); err != nil {
		return page{}, nil, fmt.Errorf("read the answer: %w", err)
	}
	return p, a.header, nil
}

// list walks the pages of a list until there are as many items as were asked for.
func list(c *call) error {
	all := page{Items: []json.RawMessage{}}
	query := c.query
	for {
		size := maxPage
		if !c.x.all {
			size = min(maxPage, c.x.limit-len(all.Items))
		}
		query.Set("limit", strconv.Itoa(size))
		p, _, err := c.pageOf(c.cmd.path, query)
		if err != nil {
			return err
		}
		all.Items, all.NextCursor = append(all.Items, p.Items...), p.NextCursor
		if p.NextCursor == nil || *p.NextCursor == "" || (!c.x.all && len(all.Items) >= c.x.limit) {
			break
		}
		if *p.NextCursor == query.Get("cursor") {
			return errors.New("the server answered the same page twice")
		}
		query.Set("cursor", *p.NextCursor)
	}
	if c.json {
		return c.printJSON(all)
	}
	if len(all.Items) == 0 {
		fmt.Fprintln(c.errOut, "Nothing matches.")
		return nil
	}
	if err := c.table(all.Items); err != nil {
		return err
	}
	if all.NextCursor != nil {
		fmt.Fprintf(c.errOut, "These are the first %d. --all shows every one, --limit more of them.\n", len(all.Items))
	}
	return nil
}

// download writes an answer that is no JSON to a file or to the standard output.
func download(c *call) (err error) {
	rq, err := c.request()
	if err != nil {
		return err
	}
	if c.x.output == "" {
		return c.client.download(c.ctx, rq, c.out)
	}
	// An export must not replace a good file by half of a new one.
	part := c.x.output + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write --output: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err = errors.Join(c.client.download(c.ctx, rq, f), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(part, c.x.output); err != nil {
		return fmt.Errorf("write --output: %w", err)
	}
	return nil
}

func exportAudit(c *call) error {
	if c.query.Get("format") == "" {
		c.query.Set("format", "csv")
	}
	return download(c)
}

// callAPI sends what the command line says and prints what comes back.
func callAPI(c *call) error {
	method, path := strings.ToUpper(c.args["method"]), "/"+strings.TrimPrefix(c.args["path"], "/")
	u, err := url.Parse(path)
	if err != nil || u.Host != "" {
		return usagef("<path> must be a path below /ws/<workspace>/api/v1, such as /hosts")
	}
	rq := request{method: method, path: u.EscapedPath(), header: map[string]string{}, contentType: c.x.contentType}
	if rq.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return usagef("<path> has a query that cannot be read: %v", err)
	}
	if rq.body, err = c.readData(); err != nil {
		return err
	}
	if c.x.ifMatch != "" {
		rq.header["If-Match"] = strconv.Quote(strings.Trim(c.x.ifMatch, `"`))
	}
	if c.x.repeatKey != "" {
		rq.header["Idempotency-Key"] = c.x.repeatKey
	}
	if err := rq.once(); err != nil {
		return err
	}
	a, err := c.client.call(c.ctx, rq)
	switch {
	case err != nil:
		return err
	case len(a.body) == 0:
		return nil
	case a.isJSON():
		return c.printJSON(json.RawMessage(a.body))
	}
	if _, err := c.out.Write(a.body); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// readData returns the body that --data names, nil for none.
func (c *call) readData() ([]byte, error) {
	d := c.x.data
	if d == "" {
		return nil, nil
	}
	var raw []byte
	var err error
	switch file, isFile := strings.CutPrefix(d, "@"); {
	case d == "-":
		raw, err = io.ReadAll(c.in)
	case isFile:
		raw, err = os.ReadFile(file)
	default:
		raw = []byte(d)
	}
	if err != nil {
		return nil, fmt.Errorf("read --data: %w", err)
	}
	if jsonType(c.x.contentType) && !json.Valid(raw) {
		return nil, usagef("--data is not JSON; for another kind of body set --content-type")
	}
	return raw, nil
}

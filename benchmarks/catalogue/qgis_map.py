"""A map of a catalogue as QGIS draws it on opening, with the styles that the file brings (Debian: python3-qgis).

QT_QPA_PLATFORM=offscreen python3 benchmarks/catalogue/qgis_map.py results/demo/catalogue.gpkg map.png [relief.tif]
"""

import sys

from qgis.core import (
    QgsApplication,
    QgsBilinearRasterResampler,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsHillshadeRenderer,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemMapGrid,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QFont

SHOWN = {
    "gnss_stations": "GNSS stations",
    "sources|geometrytype=Point": "sources: volumes",
    "sources|geometrytype=Polygon": "sources: faults",
    "events": "events",
    "regions": "regions",
}


def placed(layout, item, x, y, width=None, height=None):
    """Put an item on the page; millimetres."""
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y, QgsUnitTypes.LayoutMillimeters))
    if width:
        item.attemptResize(QgsLayoutSize(width, height, QgsUnitTypes.LayoutMillimeters))
    return item


def degrees(shown):
    """A frame with longitude and latitude."""
    grid = shown.grid()
    grid.setCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    grid.setIntervalX(0.1)
    grid.setIntervalY(0.1)
    grid.setStyle(QgsLayoutItemMapGrid.FrameAnnotationsOnly)
    grid.setFrameStyle(QgsLayoutItemMapGrid.InteriorTicks)
    grid.setAnnotationEnabled(True)
    grid.setAnnotationFormat(QgsLayoutItemMapGrid.DecimalWithSuffix)
    grid.setAnnotationPrecision(1)
    grid.setAnnotationFont(QFont("Sans", 8))
    for side in (QgsLayoutItemMapGrid.Right, QgsLayoutItemMapGrid.Top):
        grid.setAnnotationDisplay(QgsLayoutItemMapGrid.HideAll, side)
    grid.setAnnotationDirection(QgsLayoutItemMapGrid.Vertical, QgsLayoutItemMapGrid.Left)
    grid.setEnabled(True)


def styled_layers(project, catalogue):
    """The catalogue's layers that hold something, with the styles that they come with."""
    layers = []
    for name, title in SHOWN.items():
        layer = QgsVectorLayer(f"{catalogue}|layername={name}", title, "ogr")
        if not layer.isValid() or not layer.featureCount():
            continue
        said, styled = layer.loadDefaultStyle()
        print(f"{title}: {layer.featureCount()} features, default style: {said} ({styled})")
        # The legend names what is there.
        renderer = layer.renderer()
        for rule in list(renderer.rootRule().children()):
            asked = QgsFeatureRequest().setFilterExpression(rule.filterExpression())
            if rule.filterExpression() and not any(True for _ in layer.getFeatures(asked)):
                renderer.rootRule().removeChild(rule)
        project.addMapLayer(layer)
        layers.append(layer)
    return layers


def main(catalogue, out, relief=None):
    """Draw it."""
    project = QgsProject.instance()
    metric = QgsCoordinateReferenceSystem("EPSG:32636")
    project.setCrs(metric)
    vectors = styled_layers(project, catalogue)
    layers = list(vectors)
    if relief:
        raster = QgsRasterLayer(relief, "relief")
        raster.setRenderer(QgsHillshadeRenderer(raster.dataProvider(), 1, 315, 45))
        raster.renderer().setZFactor(2)
        raster.renderer().setOpacity(0.35)
        for choose in (raster.resampleFilter().setZoomedInResampler, raster.resampleFilter().setZoomedOutResampler):
            choose(QgsBilinearRasterResampler())
        project.addMapLayer(raster)
        layers.append(raster)
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    shown = QgsLayoutItemMap(layout)
    shown.setRect(12, 5, 208, 193)
    shown.setCrs(metric)
    to_metres = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:4326"), metric, project)
    extent = to_metres.transformBoundingBox(next(v for v in vectors if v.name() == "regions").extent())
    extent.scale(1.2)
    shown.setLayers(layers)
    shown.setExtent(extent)
    placed(layout, shown, 12, 5, 208, 193)
    shown.setFrameEnabled(True)
    degrees(shown)
    legend = QgsLayoutItemLegend(layout)
    legend.setAutoUpdateModel(True)
    placed(layout, legend, 226, 20)
    title = QgsLayoutItemLabel(layout)
    title.setText("The demo's catalogue")
    title.setFont(QFont("Sans", 13))
    title.adjustSizeToText()
    placed(layout, title, 226, 8, 70, 10)
    bar = QgsLayoutItemScaleBar(layout)
    bar.setLinkedMap(shown)
    bar.applyDefaultSize(QgsUnitTypes.DistanceKilometers)
    placed(layout, bar, 226, 180)
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = 130
    print(QgsLayoutExporter(layout).exportToImage(out, settings))


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    main(*sys.argv[1:])
    application.exitQgis()
